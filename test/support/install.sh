#!/bin/sh
# Foreign clients and servers that the tests use when they are there: nghttpd, promtool, redis-server, headless Chromium, aioquic. Tests that miss one
# are skipped and say so; nothing here fails. Packages are installed as root on Debian only.
set -u

cache=${LYCHGATE_CACHE:-$HOME/.cache/lychgate}
missing=''
command -v nghttpd >/dev/null 2>&1 || missing="$missing nghttp2-server"
command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
python3 -c 'import ensurepip' >/dev/null 2>&1 || missing="$missing python3-venv"

if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "peers: installing$missing"
  apt-get update -qq >/dev/null 2>&1
  # One by one: a machine without one of them may still have the others. Prometheus brings promtool and must not be started,
  # nor redis-server the system's own.
  for package in $missing; do
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $package >/dev/null 2>&1 || echo "peers: no $package"
  done
fi

venv=$cache/aioquic
if ! "$venv/bin/python" -c 'import aioquic' >/dev/null 2>&1; then
  mkdir -p "$cache"
  python3 -m venv "$venv" >/dev/null 2>&1 && "$venv/bin/pip" install --quiet --disable-pip-version-check 'aioquic==1.3.*' >/dev/null 2>&1 ||
    echo 'peers: no aioquic; its tests will be skipped'
fi
exit 0
