#!/bin/bash
# A real pcscd with vsmartcard's virtual reader, apart from the host's own.
#
#   pcscd.sh prepare PYTHON        fetch Debian's packages and pyscard into the cache
#   pcscd.sh run RUNDIR            run pcscd in the foreground; its socket is RUNDIR/pcscd.comm
#
# Nothing is installed into the system and the clone stays clean. `run` takes
# mount and network namespaces of its own: /run/pcscd is RUNDIR, drivers of real
# readers are hidden, and vpcd's port listens where no other process can reach it.
set -eu
cache="${XDG_CACHE_HOME:-$HOME/.cache}/opentill/pcscd"
root="$cache/root"

case "${1:-}" in
prepare)
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9 # two test runs may start at once
    if [ ! -x "$root/usr/sbin/pcscd" ]; then
        mkdir -p "$cache/debs"
        (cd "$cache/debs" && apt-get -qq download pcscd vsmartcard-vpcd libpcsclite1 libpcsclite-dev)
        rm -rf "$root.new"
        mkdir "$root.new"
        for package in "$cache"/debs/*.deb; do dpkg -x "$package" "$root.new"; done
        rm -rf "$root"
        mv "$root.new" "$root"
    fi
    if ! "$2" -c 'import smartcard' 2>/dev/null && [ ! -d "$cache/python/smartcard" ]; then
        lib="$(dirname "$(find "$root/usr/lib" -name libpcsclite.so | head -n 1)")"
        rm -rf "$cache/python.new"
        CFLAGS="-I$root/usr/include/PCSC" LDFLAGS="-L$lib" \
            "$2" -m pip install --quiet --no-deps --target "$cache/python.new" 'pyscard>=2.0'
        rm -rf "$cache/python"
        mv "$cache/python.new" "$cache/python"
    fi
    ;;
run)
    driver="$(find "$root/usr/lib" -name libifdvpcd.so | head -n 1)"
    lib="$(dirname "$(find "$root/usr/lib" -name 'libpcsclite.so.1' | head -n 1)")"
    printf 'FRIENDLYNAME "OpenTill Virtual"\nDEVICENAME /dev/null:0x8C7B\nLIBPATH %s\nCHANNELID 0x8C7B\n' \
        "$driver" >"$2/reader.conf"
    export RUNDIR="$2" PCSCD="$root/usr/sbin/pcscd" LD_LIBRARY_PATH="$lib"
    exec unshare --mount --net sh -c '
        mkdir -p /run/pcscd
        mount --bind "$RUNDIR" /run/pcscd
        if [ -d /usr/lib/pcsc ]; then mount -t tmpfs none /usr/lib/pcsc; fi
        exec "$PCSCD" --foreground --config "$RUNDIR/reader.conf"'
    ;;
*)
    echo "usage: pcscd.sh prepare PYTHON | run RUNDIR" >&2
    exit 2
    ;;
esac
