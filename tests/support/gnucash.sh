#!/bin/bash
# GnuCash's engine and its XML loader, in the cache: Debian's packages unpacked, not installed.
#
#   gnucash.sh prepare      fetch and unpack
#   gnucash.sh root         print the folder
#
# Its window system, reports and importers stay out: only libraries of the engine are loaded.
set -eu
cache="${XDG_CACHE_HOME:-$HOME/.cache}/opentill/gnucash"
root="$cache/root"

case "${1:-}" in
prepare)
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9 # two test runs may start at once
    if [ ! -d "$root/usr/lib" ]; then
        mkdir -p "$cache/debs"
        locale=$(apt-cache depends gnucash | sed -n 's/.*Depends: \(libboost-locale[^ ]*\)$/\1/p')
        thread=$(apt-cache depends "$locale" | sed -n 's/.*Depends: \(libboost-thread[^ ]*\)$/\1/p')
        packages="gnucash $locale $thread"
        (cd "$cache/debs" && apt-get -qq download $packages 2>/dev/null) || {
            echo "Debian's packages cannot be fetched: $packages" >&2
            exit 1
        }
        rm -rf "$root.new"
        mkdir "$root.new"
        for package in "$cache"/debs/*.deb; do dpkg -x "$package" "$root.new"; done
        mv "$root.new" "$root"
    fi
    ;;
root)
    echo "$root"
    ;;
*)
    echo "usage: gnucash.sh prepare | root" >&2
    exit 2
    ;;
esac
