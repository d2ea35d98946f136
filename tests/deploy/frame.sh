# SPDX-License-Identifier: MIT
#
# The frame of these tests itself: steps that lib.sh runs as another script's.
# shellcheck shell=bash

lib() { WORK=$WORK/inner bash "$SOURCE/tests/deploy/lib.sh" frame.sh "$@"; }

inner_skips() { need no-such-command-anywhere; }

saysWhatItSkips() {
  local code=0 said
  said=$(lib inner_skips) || code=$?
  [ $code -eq 77 ] || fail "exit code $code"
  [[ $said == "skipped: no-such-command-anywhere "* ]] || fail "it says '$said'"
}

inner_starts() {
  start "$WORK/log" sleep 60
  echo "$started" >"$WORK/pid"
  atEnd touch "$WORK/end of it"
  fail "on purpose"
}

leavesNothing() {
  if lib inner_starts; then fail "the failure was swallowed"; fi
  [ ! -d "/proc/$(cat "$WORK/inner/pid")" ] || fail "what it started still runs"
  [ -e "$WORK/inner/end of it" ] || fail "what it had to do at its end was not done"
}
