#!/usr/bin/env bash
# Install what the tests need from Debian: as root with apt, else name it.
set -euo pipefail
missing=()
need() { # command-or-file package
  command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || missing+=("$2")
}
need mmdebstrap mmdebstrap
need chromium chromium
need ip iproute2
need dbus-daemon dbus-daemon
need unshare util-linux
need gcc gcc
need node nodejs
need npm npm
need hledger hledger
need ledger ledger
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian packages: ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "make test: please install these Debian packages as root, then run it again:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
