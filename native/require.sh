#!/bin/sh
# Sees to it that the machine can build, test and run what is here. Each need is asked for as its user will use it, never by the name of a file: a C++
# program is compiled and linked, libclang is loaded and parses a header, certificates are made, Rust says its version.
#
#   native/require.sh           as root on Debian and its like: installs what is missing; elsewhere: says what to install, and stops
#   native/require.sh --check   only says what is missing, one Debian package a line; status 1 when anything is
#
# Rust comes from the distribution where that has one which is new enough (Debian 12 and 13: rustc-web, cargo-web). A toolchain from outside
# the distribution is named with its command, never fetched unasked.
set -eu

rust_minor=88
# The one that carries npm; npm then brings the Node that everything here runs on (package.json, devDependencies).
node_major=18
here=$(cd "$(dirname "$0")" && pwd)
# Where cargo will run what it builds: /tmp may be mounted noexec.
built=${CARGO_TARGET_DIR:-$here/target}
scratch=$(mkdir -p "$built" 2>/dev/null && mktemp -d "$built/require.XXXXXX" 2>/dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PATH=$PATH:${HOME:-/root}/.cargo/bin

can_run() { "$@" >/dev/null 2>&1; }

can_build_cpp() {
  printf '#include <string_view>\n#include <cstdio>\nint main() { return std::puts(std::string_view("yes").data()) < 0; }\n' >"$scratch/question.cc"
  c++ -std=c++17 -o "$scratch/answer" "$scratch/question.cc" 2>/dev/null && can_run "$scratch/answer"
}

# BoringSSL's own first line.
can_configure() {
  echo 'cmake_minimum_required(VERSION 3.22)' >"$scratch/question.cmake"
  can_run cmake -P "$scratch/question.cmake"
}

can_make() {
  printf 'yes:\n\t@echo $@\n' >"$scratch/question.mk"
  can_run make -f "$scratch/question.mk"
}

can_patch() {
  echo no >"$scratch/question"
  printf -- '--- question\n+++ question\n@@ -1 +1 @@\n-no\n+yes\n' | (cd "$scratch" && can_run patch -p0 --fuzz=0 --batch)
}

has_npm() { can_run node -e "process.exit(parseInt(process.versions.node) < $node_major ? 1 : 0)" && can_run npm --version; }

# Where bindgen looks (crate clang-sys): LIBCLANG_PATH alone if it is set, else llvm-config's folder and the usual ones.
libclangs() {
  if [ -n "${LIBCLANG_PATH:-}" ]; then
    folders=$LIBCLANG_PATH
  else
    folders="$(llvm-config --libdir 2>/dev/null || true) /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/lib /usr/lib64/llvm*/lib"
  fi
  for folder in $folders; do
    ls "$folder"/libclang.so* "$folder"/libclang-*.so* 2>/dev/null | grep -v -e '-cpp' || true
  done
}

has_libclang() {
  cc -o "$scratch/libclang" "$here/libclang.c" -ldl 2>/dev/null || return 1
  for library in $(libclangs); do
    if can_run "$scratch/libclang" "$library"; then return 0; fi
  done
  return 1
}

# Packages of Debian that are missing, one a line. What needs a compiler to be asked is missing while there is none.
missing() {
  can_configure || echo cmake
  can_build_cpp || echo g++
  can_run git init -q "$scratch/question.git" || echo git
  has_libclang || echo libclang-dev
  can_make || echo make
  has_npm || echo npm
  can_run "$here/../certs/make.sh" "$scratch/certs" || echo openssl
  can_patch || echo patch
}

is_new_enough() {
  minor=$(sed -n 's/^\(rustc \)\{0,1\}1\.\([0-9]*\)\..*/\2/p')
  [ -n "$minor" ] && [ "$minor" -ge "$rust_minor" ]
}

has_rust() { rustc --version 2>/dev/null | is_new_enough && can_run cargo --version; }

# What the system says it is: `debian 12`, `ubuntu 24.04`; and the families it counts itself to.
distribution() { (. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}") || true; }
family() { (. /etc/os-release 2>/dev/null && echo " ${ID:-} ${ID_LIKE:-} ") || true; }
is_debian() { case "$(family)" in *' debian '*) can_run apt-get --version ;; *) false ;; esac; }
is_fedora() { case "$(family)" in *' fedora '*) true ;; *) false ;; esac; }

# The version of a package that apt would install.
offered() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9].*\)/\1/p'; }

# The packages of the distribution that hold a Rust which is new enough; nothing where there are none, or where rustup already has the word.
packaged_rust() {
  if can_run rustup --version; then return; fi
  if is_fedora; then echo 'rust cargo' && return; fi
  is_debian || return 0
  for pair in 'rustc cargo' 'rustc-web cargo-web'; do
    if offered "${pair% *}" | is_new_enough; then echo "$pair" && return; fi
  done
  # Lists that were never fetched offer nothing; what these have is known.
  if [ -z "$(offered make)" ]; then
    case "$(distribution)" in 'debian 12' | 'debian 13') echo 'rustc-web cargo-web' ;; esac
  fi
}

if [ "$(id -u)" = 0 ]; then sudo=''; else sudo='sudo '; fi

# The command that brings a Rust from outside the distribution.
rust_command() {
  if can_run rustup --version; then
    if rustup run stable rustc --version 2>/dev/null | is_new_enough; then
      # It is there, and another one comes before it, or none was chosen.
      echo "rustup default stable && export PATH=\"$(dirname "$(command -v rustup)"):\$PATH\""
    else
      echo 'rustup update stable && rustup default stable'
    fi
  elif is_debian && [ -n "$(offered rustup)" ]; then
    echo "${sudo}apt-get install -y rustup && rustup default stable"
  else
    echo "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh    (https://rustup.rs; then open a new shell)"
  fi
}

# One command that installs packages which are named as Debian names them.
package_command() {
  if is_debian; then
    echo "${sudo}apt-get update && ${sudo}apt-get install -y $*"
  elif is_fedora; then
    echo "${sudo}dnf install -y $(echo "$*" | sed -e 's/g++/gcc-c++/' -e 's/libclang-dev/clang-devel/')"
  else
    echo "what Debian calls $*"
  fi
}

packages=$(missing)
if [ "${1:-}" = --check ]; then
  [ -z "$packages" ] || echo "$packages"
  has_rust || echo "rust >= 1.$rust_minor"
  [ -z "$packages" ] && has_rust
  exit
fi
if [ -z "$packages" ] && has_rust; then exit 0; fi

install() {
  echo "require: installing $*"
  DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get install -y -qq --no-install-recommends --no-remove "$@" >/dev/null || true
}

if [ "$(id -u)" = 0 ] && is_debian; then
  apt-get update -qq || true
  # shellcheck disable=SC2086 # lists of package names
  [ -z "$packages" ] || install $packages
  rust=$(has_rust || packaged_rust)
  # Never in the place of an older Rust that somebody installed: --no-remove.
  # shellcheck disable=SC2086
  [ -z "$rust" ] || install $rust
  packages=$(missing)
  if [ -z "$packages" ] && has_rust; then exit 0; fi
fi

rust=$(has_rust || packaged_rust)
echo 'require: please install, then run make again:' >&2
# shellcheck disable=SC2086
[ -z "$packages$rust" ] || echo "    $(package_command $packages $rust)" >&2
if ! has_rust; then
  [ -n "$rust" ] || echo "    $(rust_command)" >&2
  echo "require: Rust 1.$rust_minor or newer is needed, and $(rustc --version 2>/dev/null || echo 'there is none')" >&2
fi
exit 1
