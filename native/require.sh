#!/bin/sh
# Sees to it that the machine can build the addon: a C++ compiler and CMake for BoringSSL, libclang for its bindings, patch for
# quiche, a recent Rust.
# As root on Debian it installs what is missing; otherwise it says exactly what to install and stops.
set -eu

rust_minor=88
missing=''
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

need cmake cmake
need c++ g++
need make make
need git git
need patch patch
need openssl openssl
ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1 || missing="$missing libclang-dev"
command -v cargo >/dev/null 2>&1 || [ -x "$HOME/.cargo/bin/cargo" ] || missing="$missing rustup"

if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "native: installing$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 -- a list of package names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  else
    echo "native: please install, then run make again:" >&2
    echo "    sudo apt-get install -y$missing" >&2
    exit 1
  fi
fi

PATH=$PATH:$HOME/.cargo/bin
if ! rustc --version >/dev/null 2>&1 && command -v rustup >/dev/null 2>&1; then
  rustup default stable
fi
minor=$(rustc --version | cut -d. -f2)
if [ "$minor" -lt "$rust_minor" ]; then
  echo "native: Rust 1.$rust_minor or newer is needed, this is $(rustc --version); 'rustup update stable' brings it" >&2
  exit 1
fi
