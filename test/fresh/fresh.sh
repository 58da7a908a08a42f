#!/bin/sh
# `make fresh`: the README's commands on bare Debians, one after the other; FRESH names them (default: bookworm trixie). What is in them stays
# for a look when something failed.
set -u
here=$(dirname "$0")
"$here/bare.sh" can || exit 1
if [ -n "${FRESH_RUST:-}" ]; then echo "fresh: the Rust of this machine is mounted: $("$FRESH_RUST/bin/rustc" --version)"; fi

failed=0
for suite in ${FRESH:-bookworm trixie}; do
  folder=$("$here/bare.sh" copy "$suite" readme) || { failed=1; continue; }
  if "$here/bare.sh" in "$folder" bash /srv/lychgate/test/fresh/readme.sh; then
    "$here/bare.sh" drop "$folder"
  else
    failed=1
    echo "fresh: $suite failed; it lies in $folder, with logs in var/log/lychgate"
  fi
done
exit "$failed"
