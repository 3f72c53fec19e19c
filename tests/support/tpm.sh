#!/bin/bash
# A software TPM (swtpm) and the library to talk to one, in the cache.
#
#   tpm.sh prepare PYTHON          fetch Debian's packages; build tpm2-pytss against them
#   tpm.sh run RUNDIR STATE        run swtpm in the foreground; its socket is RUNDIR/tpm
#   tpm.sh libraries               print the folder of the libraries
#
# Nothing is installed into the system and the clone stays clean. tpm2-pytss is built
# without FAPI, which nothing here uses and which needs curl and json-c.
set -eu
cache="${XDG_CACHE_HOME:-$HOME/.cache}/opentill/tpm"
root="$cache/root"
libraries() { dirname "$(find "$root/usr/lib" -name libtpms.so.0)"; }

case "${1:-}" in
prepare)
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9 # two test runs may start at once
    if [ ! -x "$root/usr/bin/swtpm" ]; then
        mkdir -p "$cache/debs"
        esys=$(apt-cache depends libtss2-dev | sed -n 's/.*Depends: \(libtss2-esys-[^ ]*\)$/\1/p' | head -n 1)
        parts=$(apt-cache depends libtss2-dev | sed -n 's/.*Depends: \(libtss2-\(mu\|rc\|sys\|tctildr\)[^ ]*\)$/\1/p')
        (cd "$cache/debs" && apt-get -qq download swtpm swtpm-libs libtpms0 libtss2-dev "$esys" $parts)
        rm -rf "$root.new"
        mkdir "$root.new"
        for package in "$cache"/debs/*.deb; do dpkg -x "$package" "$root.new"; done
        find "$root.new" -name 'tss2-fapi.pc' -delete
        rm -rf "$root"
        mv "$root.new" "$root"
    fi
    if [ ! -d "$cache/python/tpm2_pytss" ]; then
        lib="$(libraries)"
        rm -rf "$cache/python.new"
        PKG_CONFIG_SYSROOT_DIR="$root" PKG_CONFIG_LIBDIR="$lib/pkgconfig" \
            CFLAGS="-I$root/usr/include -I$root/usr/include/tss2" LDFLAGS="-L$lib" LD_LIBRARY_PATH="$lib" \
            "$2" -m pip install --quiet --no-deps --target "$cache/python.new" 'tpm2-pytss>=2.0'
        rm -rf "$cache/python"
        mv "$cache/python.new" "$cache/python"
    fi
    ;;
libraries)
    libraries
    ;;
run)
    lib="$(libraries)"
    export LD_LIBRARY_PATH="$lib:$lib/swtpm"
    exec "$root/usr/bin/swtpm" socket --tpm2 --tpmstate "dir=$3" --server "type=unixio,path=$2/tpm" \
        --flags not-need-init,startup-clear
    ;;
*)
    echo "usage: tpm.sh prepare PYTHON | libraries | run RUNDIR STATE" >&2
    exit 2
    ;;
esac
