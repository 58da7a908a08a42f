#!/bin/sh
# Sees to it that the machine can build the addon. Each need is asked for as the build will use it, never by the name of a file: a C++ program is
# compiled and linked, libclang is loaded and parses a header, Rust says its version.
#
#   native/require.sh           as root on Debian and its like: installs what is missing; elsewhere: says what to install, and stops
#   native/require.sh --check   only says what is missing, one Debian package a line; status 1 when anything is
set -eu

rust_minor=88
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PATH=$PATH:$HOME/.cargo/bin

can_run() { "$@" >/dev/null 2>&1; }

can_build_cpp() {
  printf '#include <string>\n#include <cstdio>\nint main() { return std::puts(std::string("yes").c_str()) < 0; }\n' >"$scratch/question.cc"
  c++ -o "$scratch/answer" "$scratch/question.cc" 2>/dev/null && can_run "$scratch/answer"
}

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

# Packages of Debian that are missing, one a line. What needs a compiler to be asked is asked once there is one.
missing() {
  can_run cmake --version || echo cmake
  can_build_cpp || echo g++
  can_run make --version || echo make
  can_run git --version || echo git
  can_run patch --version || echo patch
  can_run openssl version || echo openssl
  if can_run cc --version; then has_libclang || echo libclang-dev; else echo libclang-dev; fi
}

has_rust() {
  minor=$(rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
  [ -n "$minor" ] && [ "$minor" -ge "$rust_minor" ] && can_run cargo --version
}

# A toolchain from outside the distribution is named, never fetched unasked; rustup that is there already is told what to bring.
explain_rust() {
  echo "native: Rust 1.$rust_minor or newer is needed, and $(rustc --version 2>/dev/null || echo 'there is none')." >&2
  if can_run rustup --version; then
    echo "    rustup update stable && rustup default stable" >&2
    return
  fi
  case "$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}")" in
    'debian 12'*) echo '    Debian 12 has neither rustup nor a Rust that is new enough: take the installer of https://rustup.rs' >&2 ;;
    debian* | ubuntu*) echo '    sudo apt-get install -y rustup && rustup default stable' >&2 ;;
    fedora*) echo '    sudo dnf install -y rustup && rustup-init -y' >&2 ;;
    *) echo '    the installer of https://rustup.rs, then run make again' >&2 ;;
  esac
}

packages=$(missing)
if [ "${1:-}" = --check ]; then
  [ -z "$packages" ] || echo "$packages"
  has_rust || echo "rust >= 1.$rust_minor"
  [ -z "$packages" ] && has_rust
  exit
fi

if [ -n "$packages" ]; then
  if [ "$(id -u)" = 0 ] && can_run apt-get --version; then
    # shellcheck disable=SC2086 -- a list of package names
    echo "native: installing" $packages
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
    packages=$(missing)
    # shellcheck disable=SC2086
    [ -z "$packages" ] || { echo "native: installed, and still of no use:" $packages >&2; exit 1; }
  else
    echo "native: please install, then run make again:" >&2
    # shellcheck disable=SC2086
    echo "    sudo apt-get install -y" $packages "    (Fedora: sudo dnf install -y cmake gcc-c++ make git patch openssl clang-devel)" >&2
    exit 1
  fi
fi

if ! has_rust && can_run apt-get --version && [ "$(id -u)" = 0 ] && ! can_run rustup --version && apt-cache show rustup 2>/dev/null | grep -q '^Package: rustup$'; then
  echo 'native: installing rustup'
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rustup >/dev/null
  rustup default stable
fi
if ! has_rust; then
  explain_rust
  exit 1
fi
