#!/usr/bin/env bash
# Unpack Debian trixie's MicroPython (unix port) for an architecture into the
# cache, once, and print a wrapper script that runs it.
#
#   tests/support/micropython.sh amd64|i386
#
# Needs mmdebstrap; the interpreter is run through its own loader, so the
# host's C library does not matter and nothing is installed.
set -euo pipefail
arch=${1:?architecture: amd64 or i386}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/opentill/micropython-$arch
runner=$cache/run
mkdir -p "$(dirname "$cache")"
exec 9>"$cache.lock"
flock 9 # two test runs may start at once
if [ ! -x "$runner" ]; then
  command -v mmdebstrap >/dev/null || { echo "micropython.sh: install the Debian package mmdebstrap" >&2; exit 1; }
  mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -n 1)
  [ -n "$mirror" ] || { echo "micropython.sh: run apt-get update first" >&2; exit 1; }
  work=$(mktemp -d "$cache.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  for attempt in 1 2 3; do
    if echo "deb $mirror trixie main" |
      mmdebstrap --quiet --variant=extract --architectures="$arch" --include=micropython trixie "$work/root" - >&2; then
      break
    fi
    [ "$attempt" != 3 ] || exit 1
    rm -rf "$work/root"
  done
  loader=$(find "$work/root/usr/lib" -path '*-linux-gnu/ld-linux*' | head -n 1)
  lib=$(dirname "$loader")
  cat >"$work/run" <<EOF
#!/bin/sh
here=\$(dirname "\$0")
exec "\$here/${loader#"$work/"}" --library-path "\$here/${lib#"$work/"}" "\$here/root/usr/bin/micropython" "\$@"
EOF
  chmod 755 "$work/run"
  rm -rf "$cache"
  mv "$work" "$cache"
  trap - EXIT
fi
echo "$runner"
