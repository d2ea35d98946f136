#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the scripts beside this file share: lib.sh SCRIPT STEP runs the function STEP of SCRIPT and, whatever becomes of
# it, ends what it started and removes what it made. CMakeLists.txt sets
#
#   SOURCE    the checkout
#   BUILD     the build; $BUILD/bin/lemonade is the balancer
#   WORK      a folder that the steps of a script share; it is there, and never emptied by this file
#   VERSION, CMAKE, LIBDIR, SANITIZE
#
# Exit codes: 0 shown, 77 skipped with the reason in a line "skipped: ...", anything else is a failure.
set -euo pipefail

readonly lemonade=$BUILD/bin/lemonade
# What is downloaded is kept here, for all scripts.
readonly cache=${LEMONADE_DEPLOY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lemonade-deploy}

fail() { echo "failed: $*" >&2; exit 1; }

# skip REASON: it cannot be shown here; the reason begins with what is missing.
skip() { echo "skipped: $*"; exit 77; }

# need COMMAND...
need() {
  local command
  for command in "$@"; do
    command -v "$command" >/dev/null || skip "$command is not installed (tools/setup --deploy installs it)"
  done
}

needRoot() { [ "$(id -u)" -eq 0 ] || skip "root is needed"; }

# eventually SECONDS COMMAND...: fails when the command does not succeed within that time.
eventually() {
  local end=$((SECONDS + $1)); shift
  until "$@"; do
    [ $SECONDS -lt $end ] || fail "not within the time: $*"
    sleep 0.05
  done
}

# shows FILE TEXT: the file holds the text.
shows() { grep -qF -- "$2" "$1" || fail "$1 does not say '$2':"$'\n'"$(cat "$1")"; }

# start LOG PROGRAM ARGUMENT...: runs it in the background, for cleanUp to end; its process id is in $started.
start() {
  local log=$1; shift
  [ "$(type -t "$1")" = file ] || fail "$1 is no program: its children would be left"
  : >"$log"  # now, or what an earlier run left there would be read
  "$@" >>"$log" 2>&1 </dev/null &
  started=$!
  children+=("$started")
}

# startBalancer LOG ARGUMENT...: lemonade lb, until it is ready; where clients reach it is in $front, operators in $admin.
startBalancer() {
  local log=$1; shift
  start "$log" "$lemonade" lb "$@"
  eventually 20 grep -q 'INFO app: ready' "$log"
  front=$(sed -n 's/.*INFO proxy: listening address=\([^ ]*\).*/\1/p' "$log" | head -n 1)
  admin=$(sed -n 's/.*INFO admin: listening address=\([^ ]*\).*/\1/p' "$log" | head -n 1)
}

# startWorker LOG NAME: lemonade worker with that name in its answers; where it answers is in $worker.
startWorker() {
  local log=$1
  start "$log" "$lemonade" worker --address 127.0.0.1:0 --name "$2"
  eventually 20 grep -q 'listening' "$log"
  worker=$(sed -n 's/.*listening.* address=\([^ ]*\).*/\1/p' "$log" | head -n 1)
}

# within "unshare OPTIONS" STEP: runs a step of the same script in namespaces of its own.
within() {
  # shellcheck disable=SC2086
  $1 bash "$SOURCE/tests/deploy/lib.sh" "$script" "$2"
}

# inRoom STEP: the same with network, files and processes of its own, where nothing outside is reached and nothing is
# left.
inRoom() {
  needRoot
  need ip unshare curl python3
  unshare --mount --net --pid --fork true 2>/dev/null || skip "namespaces are not permitted here"
  within "unshare --mount --net --pid --fork --kill-child --mount-proc" "$1"
}

# guideSays SECTION [NUMBER [LANGUAGE]]: the commands, or one block, that the deployment guide has under this heading.
guideSays() { python3 -B "$SOURCE/tests/deploy/guide_blocks.py" "$SOURCE/docs/deployment.md" "$@"; }

# atEnd COMMAND...: runs it when the step is over, the last one first.
atEnd() { ends=("$(printf '%q ' "$@")" "${ends[@]}"); }

children=()
ends=()

cleanUp() {
  local code=$? pid end
  set +e
  for pid in "${children[@]}"; do kill -TERM "$pid" 2>/dev/null; done
  for pid in "${children[@]}"; do timeout 10 tail --pid="$pid" -f /dev/null || kill -KILL "$pid"; done 2>/dev/null
  for end in "${ends[@]}"; do eval "$end"; done
  exit $code
}
trap cleanUp EXIT
trap 'exit 130' INT TERM

mkdir -p "$WORK"
readonly script=$1
# shellcheck source=/dev/null
source "$(dirname "$0")/$script"
"$2"
