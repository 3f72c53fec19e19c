#!/bin/bash
# Debian's PostgreSQL, unpacked into the cache and run from there as an unprivileged user.
#
#   postgres.sh prepare                fetch the packages; make an empty cluster once
#   postgres.sh run FOLDER             copy the cluster to FOLDER/data and serve it on the socket
#                                      in FOLDER, in the foreground; TCP is off
#
# Nothing is installed into the system. The server refuses to run as root, so for root it runs in
# a user namespace where it is nobody.
set -eu
cache="${XDG_CACHE_HOME:-$HOME/.cache}/opentill/postgres"
root="$cache/root"

if [ "$(id -u)" = 0 ]; then
    as="unshare --user --map-user=65534 --map-group=65534"
else
    as=
fi
bin() { dirname "$(find "$root/usr/lib/postgresql" -name initdb | head -n 1)"; }
libraries() { dirname "$(find "$root/usr/lib" -name 'libpq.so.5' | head -n 1)"; }

case "${1:-}" in
prepare)
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9 # two test runs may start at once
    if [ ! -d "$root/usr/lib/postgresql" ]; then
        mkdir -p "$cache/debs"
        server=$(apt-cache depends postgresql | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)
        # What the server is linked with and a small system may lack.
        parts=$(apt-cache depends "$server" |
            sed -n 's/.*Depends: \(lib\(icu\|ldap\|lz4\|pam0g\|pq\|ssl\|xml2\|zstd\|gssapi\|systemd\)[^ ]*\)$/\1/p')
        more="libsasl2-2 libicu72 libxml2"
        (cd "$cache/debs" && apt-get -qq download "$server" $parts $more)
        rm -rf "$root.new"
        mkdir "$root.new"
        for package in "$cache"/debs/*.deb; do dpkg -x "$package" "$root.new"; done
        rm -rf "$root"
        mv "$root.new" "$root"
    fi
    if [ ! -f "$cache/cluster/PG_VERSION" ]; then
        export LD_LIBRARY_PATH="$(libraries)"
        rm -rf "$cache/cluster.new"
        $as "$(bin)/initdb" --pgdata "$cache/cluster.new" --username till --auth trust \
            --encoding UTF8 --no-locale --no-sync >"$cache/initdb.log" 2>&1 ||
            { cat "$cache/initdb.log" >&2; exit 1; }
        rm -rf "$cache/cluster"
        mv "$cache/cluster.new" "$cache/cluster"
    fi
    ;;
run)
    export LD_LIBRARY_PATH="$(libraries)"
    [ -d "$2/data" ] || cp -a "$cache/cluster" "$2/data"
    exec $as "$(bin)/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c jit=off \
        -c shared_buffers=16MB -c max_connections=20 -c timezone=UTC -c log_timezone=UTC
    ;;
*)
    echo "usage: postgres.sh prepare | run FOLDER" >&2
    exit 2
    ;;
esac
