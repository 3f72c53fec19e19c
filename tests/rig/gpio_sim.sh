#!/bin/bash
# Build gpio-sim for the guest's kernel; Debian's kernels leave it out.
#
#   gpio_sim.sh KERNEL             e.g. 6.1.0-56-amd64; prints where the module is
#
# From Debian's kernel source package and the headers of that kernel, all unpacked in the
# cache. gpio-sim stands on irq_sim, which is left out as well and becomes part of it; the one
# function there that modules may not use gives way to the one that does the same for them.
set -eu
kernel="$1"
series="$(echo "$kernel" | cut -d. -f1,2)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/opentill/gpio-sim"
module="$cache/$kernel/gpio-sim.ko"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two builds may start at once
if [ ! -f "$module" ]; then
    work="$cache/$kernel.new"
    rm -rf "$work"
    mkdir -p "$work/debs" "$work/module"
    (cd "$work/debs" && apt-get -qq download "linux-source-$series" "linux-headers-$kernel" \
        "linux-headers-${kernel%-*}-common" "linux-kbuild-$series") >&2
    for package in "$work"/debs/linux-headers-*.deb "$work"/debs/linux-kbuild-*.deb; do
        dpkg -x "$package" "$work"
    done
    dpkg-deb --fsys-tarfile "$work/debs/linux-source-$series"_*.deb |
        tar -x -O "./usr/src/linux-source-$series.tar.xz" >"$work/source.tar.xz"
    tar -xJf "$work/source.tar.xz" -C "$work/module" --strip-components=3 --occurrence=1 \
        "linux-source-$series/drivers/gpio/gpio-sim.c" \
        "linux-source-$series/drivers/gpio/gpiolib.h" "linux-source-$series/kernel/irq/irq_sim.c"
    mv "$work/module/gpio-sim.c" "$work/module/lines.c"
    sed -i 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' \
        "$work/module/irq_sim.c"
    printf 'obj-m := gpio-sim.o\ngpio-sim-y := lines.o irq_sim.o\n' >"$work/module/Kbuild"
    headers="$work/usr/src/linux-headers-$kernel"
    sed -i "s#/usr/src/#$work/usr/src/#" "$headers/Makefile"
    make -s -C "$headers" M="$work/module" modules >&2
    mkdir -p "$cache/$kernel"
    mv "$work/module/gpio-sim.ko" "$module"
    rm -rf "$work"
fi
echo "$module"
