#!/bin/sh
# A bare Debian in a folder, and a way in: the fresh machine on which the README's commands are
# tried, and of which require.sh and install.sh decide.
#
#   bare.sh can                    whether this machine can make one; else says why, status 1
#   bare.sh base SUITE             minbase of debootstrap, made once and kept; prints its folder
#   bare.sh copy SUITE NAME        a copy with the checkout in /srv/lychgate; prints its folder
#   bare.sh in FOLDER COMMAND…     runs a command there as root
#   bare.sh drop FOLDER            removes it
#
# `in` enters namespaces of its own for mounts and processes: both end with the command, whatever
# ends it, so that nothing stays mounted or running.
#
# By what this machine reaches its registries (proxies, certificates, settings of apt, npm, pip and
# cargo) is read from the machine when it is needed and handed in from memory: it stands in no file
# of the checkout. FRESH_MIRROR and FRESH_SECURITY_MIRROR name the archives of Debian where this
# machine's apt knows none. FRESH_RUST names a Rust toolchain of this machine (rustc --print
# sysroot), which is mounted where Debian's cannot be had.
set -eu

checkout=$(cd "$(dirname "$0")/../.." && pwd)
fresh=${LYCHGATE_CACHE:-$HOME/.cache/lychgate}/fresh

# The archives that apt on this machine knows, as lines of another suite's sources.list.
sources() {
  if [ -n "${FRESH_MIRROR:-}" ]; then
    printf 'deb %s %s main\n' "$FRESH_MIRROR" "$1" "$FRESH_MIRROR" "$1-updates" "${FRESH_SECURITY_MIRROR:-$FRESH_MIRROR-security}" "$1-security"
    return
  fi
  # shellcheck disable=SC2016 # apt's own variables
  format='$(REPO_URI) $(RELEASE) $(LABEL)'
  apt-get indextargets --format "$format" 'Created-By: Packages' 2>/dev/null | sort -u | while read -r uri release label; do
    case "$label $release" in
      Debian-Security\ *-security | Debian\ *-updates) echo "deb $uri $1-${release##*-} main" ;;
      Debian\ *-*) ;;
      Debian\ *) echo "deb $uri $1 main" ;;
    esac
  done
}

# Runs a command in namespaces of its own for mounts and processes. `unshare` passes signals over,
# and the first process of a namespace most of them: what ends this script, kill -9 too, kills them.
apart() {
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child "$@" &
  apart=$!
  trap 'kill -KILL "$apart"' INT TERM HUP
  wait "$apart"
}

can() {
  [ "$(id -u)" = 0 ] || { echo 'fresh: only root can make a bare system'; return 1; }
  command -v debootstrap >/dev/null || { echo 'fresh: debootstrap is not installed (apt-get install debootstrap)'; return 1; }
  apart true 2>/dev/null || { echo 'fresh: namespaces cannot be made here'; return 1; }
}

base() {
  folder=$fresh/$1
  if [ ! -d "$folder" ]; then
    mkdir -p "$fresh"
    work=$(mktemp -d "$fresh/making.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    # Without lists apt does not tell its archives.
    [ -n "$(sources "$1")" ] || apt-get update -qq >/dev/null 2>&1 || true
    sources=$(sources "$1")
    mirror=$(echo "$sources" | sed -n "s/^deb \(.*\) $1 main$/\1/p")
    if [ -z "$mirror" ] || ! echo "$sources" | grep -q "$1-security"; then
      echo 'fresh: apt of this machine knows no archive of Debian with its security updates (FRESH_MIRROR, FRESH_SECURITY_MIRROR)' >&2
      exit 1
    fi
    if ! apart debootstrap --variant=minbase "$1" "$work/root" "$mirror" >"$work/log" 2>&1; then
      tail -n 3 "$work/log" >&2
      echo "fresh: debootstrap of $1 failed" >&2
      exit 1
    fi
    echo "$sources" >"$work/root/etc/apt/sources.list"
    # A system that is thrown away need not survive a power failure.
    echo force-unsafe-io >"$work/root/etc/dpkg/dpkg.cfg.d/fresh"
    # Somebody else may have made it meanwhile.
    mv -T "$work/root" "$folder" 2>/dev/null || [ -d "$folder" ]
  fi
  echo "$folder"
}

copy() {
  from=$(base "$1")
  # What a run that was killed left behind.
  find "$fresh" -mindepth 1 -maxdepth 1 \( -name 'run-*' -o -name 'making.*' \) -mmin +720 | while read -r old; do drop "$old"; done
  folder=$(mktemp -d "$fresh/run-$1-$2.XXXXXX")
  cp -a --reflink=auto "$from/." "$folder"
  mkdir "$folder/srv/lychgate"
  (cd "$checkout" && git ls-files -z --cached --others --exclude-standard --deduplicate |
    tar --null --verbatim-files-from --ignore-failed-read -T - -cf - 2>/dev/null) | tar xf - -C "$folder/srv/lychgate" --no-same-owner
  echo "$folder"
}

drop() {
  case "$1" in "$fresh"/run-* | "$fresh"/making.*) ;; *) echo "fresh: $1 is none of mine" >&2 && exit 2 ;; esac
  if grep -q " $1[/ ]" /proc/self/mounts; then echo "fresh: something is mounted in $1" >&2 && exit 2; fi
  rm -rf --one-file-system "$1"
}

# Runs in namespaces of its own, still in this machine's file system: mounts what a machine has,
# hands in what this one is reached by, and enters.
enter() {
  root=$1
  shift
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount -t tmpfs tmpfs "$root/tmp"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -p "$root/run/host"
  for file in /etc/resolv.conf /etc/hosts /etc/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.npmrc" "$HOME/.cargo/config.toml"; do
    [ -f "$file" ] || continue
    inside=$root$(echo "$file" | sed "s|^$HOME/|/root/|")
    mkdir -p "$(dirname "$inside")"
    [ -e "$inside" ] || : >"$inside"
    mount --bind -o ro "$file" "$inside"
  done
  apt-config dump 2>/dev/null | grep -iE '^Acquire::(https?|ftp|Check-|Retries|Force|Max-Future)' >"$root/run/host/apt.conf" || true

  set -- chroot "$root" "$@"
  if [ -n "${FRESH_RUST:-}" ]; then
    mkdir -p "$root/opt/rust"
    mount --bind -o ro "$FRESH_RUST" "$root/opt/rust"
    set -- "PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
  else
    set -- 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$@"
  fi
  # Debian's cargo knows the machine's certificates by a name of its own.
  [ -z "${SSL_CERT_FILE:-}" ] || export CARGO_HTTP_CAINFO="${CARGO_HTTP_CAINFO:-$SSL_CERT_FILE}"
  # A variable that names a file names a copy of it inside; one that names a folder gets that
  # folder.
  for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
    case "$name" in
      *_proxy | *_PROXY | NPM_CONFIG_* | npm_config_registry | PIP_* | CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTR* | CARGO_SOURCE_*) ;;
      SSL_CERT_FILE | NODE_EXTRA_CA_CERTS | CURL_CA_BUNDLE | GIT_SSL_CAINFO | REQUESTS_CA_BUNDLE) ;;
      PROFILE) ;;
      *) continue ;;
    esac
    eval "value=\$$name"
    if [ -f "$value" ]; then
      cp "$value" "$root/run/host/$name"
      value=/run/host/$name
    elif [ "${value#/}" != "$value" ] && [ -d "$value" ]; then
      mkdir -p "$root$value"
      mount --bind -o ro "$value" "$root$value"
    fi
    set -- "$name=$value" "$@"
  done
  exec env -i HOME=/root TERM=dumb APT_CONFIG=/run/host/apt.conf "$@"
}

verb=${1:-}
[ $# -gt 0 ] && shift
case "$verb" in
  can) can ;;
  base) base "$1" ;;
  copy) copy "$1" "$2" ;;
  drop) drop "$1" ;;
  in) apart sh "$0" enter "$@" ;;
  enter) enter "$@" ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
