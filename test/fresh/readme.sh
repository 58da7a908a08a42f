#!/bin/bash
# Runs inside a bare system (bare.sh in): the commands of README.md under "Try it", in their order, as its reader would type them, and nothing else.
# Says how long the first answer takes from there, what was installed, and what the tests say. `make run` is asked with the commands that the
# README has for it, and ended as Ctrl-C ends it.
set -u
cd "$(dirname "$0")/../.." || exit 1
logs=/var/log/lychgate
mkdir -p "$logs"
failed=0
answered=''

fail() { failed=1; echo "fresh: FAILED: $*"; }
packages() { dpkg-query -W -f '${Package} ${Installed-Size}\n' | sort; }

# Blocks of code under "Try it", comments taken off.
commands() { awk '/^```/ { fenced = !fenced } /^## / { inside = $0 == "## Try it" } inside && !fenced && sub(/^    /, "")' README.md | sed 's/ \{2,\}#.*//'; }

run_and_ask() {
  # Job control, so that it has a process group of its own and takes SIGINT.
  set -m
  make run >"$logs/run.log" 2>&1 &
  job=$!
  set +m
  until grep -q 'it stays up' "$logs/run.log"; do
    if ! kill -0 "$job" 2>/dev/null; then fail 'make run ended before it answered'; tail -n 40 "$logs/run.log"; return; fi
    if [ -z "$answered" ] && grep -q '^HTTP/3 200' "$logs/run.log"; then answered=$SECONDS; fi
    sleep 1
  done
  answered=${answered:-$SECONDS}
  grep -E '^require:|^native: .* in [0-9]+ s' "$logs/run.log"
  commands | grep '^bin/lychgate' | while read -r command; do
    sh -c "$command" >"$logs/ask.log" 2>&1 && echo "fresh: $command: ok" || { cat "$logs/ask.log"; exit 1; }
  done || fail 'a command of the README'
  kill -INT -- "-$job"
  wait "$job"
  grep -q 'the edge ended with 0' "$logs/run.log" || { fail 'Ctrl-C does not end it with 0'; tail -n 20 "$logs/run.log"; }
  if grep -lq '[s]rc/main.ts' /proc/[0-9]*/cmdline; then fail 'an edge is left behind'; fi
}

. /etc/os-release
echo "fresh: $PRETTY_NAME, $(packages | wc -l) packages, $(nproc) cores, profile ${PROFILE:-of the Makefile}, Rust $(rustc --version 2>/dev/null || echo 'not there')"
packages >"$logs/before"
while read -r command; do
  case "$command" in bin/* | curl*) continue ;; esac # asked while `make run` stays up
  echo "fresh: \$ $command"
  began=$SECONDS
  rm -f "$logs/last.log"
  case "$command" in
    'make run') run_and_ask ;;
    *) sh -c "$command" >"$logs/last.log" 2>&1 </dev/null || { fail "$command"; tail -n 60 "$logs/last.log"; } ;;
  esac
  grep -hE '^[0-9]+ passed, ' "$logs/last.log" 2>/dev/null | sed 's/^/fresh:   /'
  echo "fresh:   $((SECONDS - began)) s"
done < <(commands)

packages >"$logs/after"
comm -13 "$logs/before" "$logs/after" | awk '{ count += 1; size += $2 } END { printf "fresh: installed %d packages of Debian, %d MB\n", count, size / 1000 }'
echo "fresh: $(rustc --version), $(node_modules/.bin/node --version 2>/dev/null || echo 'no Node')"
[ -z "$answered" ] || echo "fresh: the first answer came $answered s after the first command"
exit "$failed"
