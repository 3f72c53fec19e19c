#!/bin/bash
# Debian's NetworkManager and ModemManager on a bus of their own, apart from the host's.
#
#   dbus.sh prepare                 fetch Debian's packages into the cache
#   dbus.sh networkmanager RUNDIR   run it on the bus RUNDIR/bus, in namespaces of its own
#   dbus.sh modemmanager RUNDIR     run it on the same bus; it takes modems by its test interface
#   dbus.sh dbusmock RUNDIR         run python-dbusmock's NetworkManager there instead
#
# Nothing is installed into the system. NetworkManager sees two ends of one cable,
# eth7 and far7 (the latter is not managed), and no other interface of this machine.
set -eu
cache="${XDG_CACHE_HOME:-$HOME/.cache}/opentill/dbus"
root="$cache/root"
packages="dbus-daemon libdbus-1-3 ppp libpcap0.8 modemmanager libmm-glib0 libqmi-glib5 libqmi-proxy
    libmbim-glib4 libmbim-proxy libqrtr-glib0 libgudev-1.0-0 network-manager libnm0 libndp0
    libteamdctl0 libjansson4 libbluetooth3 libnl-3-200 libnl-genl-3-200 libnl-route-3-200
    libcurl3-gnutls libpsl5 libpolkit-gobject-1-0 libpolkit-agent-1-0 python3-dbusmock python3-dbus
    python3-gi libgirepository-1.0-1 gir1.2-glib-2.0"

libraries() { dirname "$(find "$root/usr/lib" -name 'libmm-glib.so.0' | head -n 1)"; }

case "${1:-}" in
prepare)
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9 # two test runs may start at once
    if [ ! -x "$root/usr/sbin/NetworkManager" ]; then
        mkdir -p "$cache/debs"
        # shellcheck disable=SC2086 # a list of words
        (cd "$cache/debs" && apt-get -qq download $packages)
        rm -rf "$root.new"
        mkdir "$root.new"
        for package in "$cache"/debs/*.deb; do dpkg -x "$package" "$root.new"; done
        rm -rf "$root"
        mv "$root.new" "$root"
    fi
    export LD_LIBRARY_PATH="$(libraries)"
    for program in NetworkManager ModemManager; do
        missing="$(ldd "$root/usr/sbin/$program" | grep 'not found' || true)"
        if [ -n "$missing" ]; then
            echo "$program lacks libraries of this system: $missing" >&2
            exit 1
        fi
    done
    ;;
networkmanager)
    export ROOT="$root" LIBRARIES="$(libraries)" RUNDIR="$2"
    export LIBRARY_HOME="${LIBRARIES#"$root"}"
    exec unshare --mount --net sh -eu -c '
        ip link set lo up
        ip link add eth7 type veth peer name far7
        ip link set far7 up
        mount -t sysfs -o ro sysfs /sys # a read-only /sys: it then needs no udev
        mount -t tmpfs none /run
        mount -t tmpfs none /var/lib
        # It has the path of its plugins built in.
        mount -t overlay -o "lowerdir=$LIBRARIES:$LIBRARY_HOME" overlay "$LIBRARY_HOME"
        mkdir -p /run/NetworkManager /run/etc /var/lib/NetworkManager
        printf "%s\n" "[main]" plugins=keyfile dhcp=internal dns=none auth-polkit=false \
            "[keyfile]" path=/run/profiles "unmanaged-devices=interface-name:far7" >/run/nm.conf
        export LD_LIBRARY_PATH="$LIBRARIES" DBUS_SYSTEM_BUS_ADDRESS="unix:path=$RUNDIR/bus"
        exec "$ROOT/usr/sbin/NetworkManager" --debug --config /run/nm.conf --config-dir /run/etc \
            --system-config-dir /run/etc --state-file /run/nm.state'
    ;;
modemmanager)
    export LD_LIBRARY_PATH="$(libraries)" DBUS_SESSION_BUS_ADDRESS="unix:path=$2/bus"
    exec "$root/usr/sbin/ModemManager" --test-session --test-enable --test-no-udev --test-no-qrtr \
        --test-no-suspend-resume --no-auto-scan --test-plugin-dir="$LD_LIBRARY_PATH/ModemManager"
    ;;
dbusmock)
    export LD_LIBRARY_PATH="$(libraries)" DBUS_SYSTEM_BUS_ADDRESS="unix:path=$2/bus"
    export GI_TYPELIB_PATH="$LD_LIBRARY_PATH/girepository-1.0"
    export PYTHONPATH="$root/usr/lib/python3/dist-packages"
    exec /usr/bin/python3 -m dbusmock --system --template networkmanager
    ;;
*)
    echo "usage: dbus.sh prepare | networkmanager RUNDIR | modemmanager RUNDIR | dbusmock RUNDIR" >&2
    exit 2
    ;;
esac
