#!/bin/sh
# Programs that the tests use when they are there: nghttpd, promtool, redis-server, headless Chromium, aioquic, debootstrap. Each is asked
# for by running it. Tests that miss one are skipped and counted; nothing here fails, and what cannot be had is named.
#
#   test/support/install.sh           as root on Debian and its like: installs what is missing; elsewhere: says what to install
#   test/support/install.sh --check   only says what is missing, one Debian package a line; status 1 when anything is
set -u

cache=${LYCHGATE_CACHE:-$HOME/.cache/lychgate}
venv=$cache/aioquic

can_run() { "$@" >/dev/null 2>&1; }

missing() {
  { can_run chromium --version || can_run chromium-browser --version || can_run google-chrome --version; } || echo chromium
  can_run debootstrap --version || echo debootstrap
  can_run nghttpd --version || echo nghttp2-server
  can_run promtool --version || echo prometheus
  can_run python3 -c 'import ensurepip, venv' || echo python3-venv
  can_run redis-server --version || echo redis-server
}

has_aioquic() { can_run "$venv/bin/python" -c 'import aioquic'; }

packages=$(missing)
if [ "${1:-}" = --check ]; then
  [ -z "$packages" ] || echo "$packages"
  has_aioquic || echo aioquic
  [ -z "$packages" ] && has_aioquic
  exit
fi

if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && can_run apt-get --version; then
  # shellcheck disable=SC2086 # a list of package names
  echo "peers: installing" $packages
  apt-get update -qq >/dev/null 2>&1
  # One by one: a machine without one of them may still have the others. Prometheus brings promtool and must not be started,
  # nor redis-server the system's own.
  for package in $packages; do
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || echo "peers: no $package"
  done
  packages=$(missing)
fi
if [ -n "$packages" ]; then
  # shellcheck disable=SC2086
  echo "peers: tests that need them are skipped; on Debian: sudo apt-get install -y" $packages
fi

if ! has_aioquic; then
  mkdir -p "$cache"
  python3 -m venv "$venv" >/dev/null 2>&1 && "$venv/bin/pip" install --quiet --disable-pip-version-check 'aioquic==1.3.*' >/dev/null 2>&1
  has_aioquic || echo 'peers: no aioquic (pip, venv); tests that need it are skipped'
fi
exit 0
