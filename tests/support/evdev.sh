#!/bin/bash
# Build python-evdev into the cache, for an environment that has it not.
#
#   evdev.sh PYTHON                prints the folder to put on the path
set -eu
cache="${XDG_CACHE_HOME:-$HOME/.cache}/opentill/evdev"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two test runs may start at once
if [ ! -d "$cache/python/evdev" ]; then
    rm -rf "$cache/python.new"
    "$1" -m pip install --quiet --no-deps --target "$cache/python.new" 'evdev>=1.6' >&2
    rm -rf "$cache/python"
    mv "$cache/python.new" "$cache/python"
fi
echo "$cache/python"
