#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The steps of the tests of plugin-validate, one function each; CMakeLists.txt sets VALIDATE and the plugins' files.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
judge=("$VALIDATE" --limit 80 --budget 240)  # other tests may leave it little of the machine

fail() { echo "$*" >&2; exit 1; }

# exits CODE COMMAND...: the command ends with that code.
exits() {
  local code=$1 got=0; shift
  "$@" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" = "$code" ] || fail "$* ended with $got, not $code: $(cat "$work/out" "$work/err")"
}

acceptsTheShipped() {
  local files=${FILES/$SCRIPTED/}
  # shellcheck disable=SC2086
  exits 0 "${judge[@]}" $files
  local allowed=none
  [ -z "$SANITIZED" ] || allowed=strategy.speed  # a pick with a sanitizer in it is slow
  ! grep -E '^  warn' "$work/out" | grep -v "$allowed" || fail "a shipped plugin is warned of"
}

takesOptions() {
  exits 1 "${judge[@]}" "$SCRIPTED"
  grep -q '^  fail  lifecycle.create.*made-up value for script' "$work/out" || fail "it was judged: $(cat "$work/out")"
  grep -q '^        mend: .*--option script=VALUE$' "$work/out" || fail "no mend: $(cat "$work/out")"
  exits 0 "${judge[@]}" --option 'script=expect "+PONG"' "$SCRIPTED"
  grep -q '^  pass  health.splits' "$work/out" || fail "its probes were not judged: $(cat "$work/out")"
}

runsOnlyWhatIsNamed() {
  exits 0 "${judge[@]}" --only strategy.tried "$FIRST"
  [ "$(grep -c '^  pass' "$work/out")" = 1 ] || fail "$(cat "$work/out")"
}

tellsMisuse() {
  exits 2 "$VALIDATE"
  exits 2 "$VALIDATE" --no-such-flag "$FIRST"
  exits 2 "$VALIDATE" --only no.such.check "$FIRST"
  exits 2 "$VALIDATE" "$work/absent.so"
  exits 2 "$VALIDATE" "$work"
  exits 2 "$VALIDATE" describe "$work/absent.so"
  exits 2 "$VALIDATE" bench "$SCRIPTED"
  exits 2 "$VALIDATE" describe "$FIRST" "$PEAK"
  exits 2 "$VALIDATE" --json "$FIRST" "$work/absent.so"
  [ ! -s "$work/out" ] || fail "part of a report: $(cat "$work/out")"
}

# What is no regular file might never end to read.
refusesWhatNeverEnds() {
  mkfifo "$work/pipe.so"
  exits 1 timeout 20 "$VALIDATE" --json "$work/pipe.so"
  python3 -c 'import json, sys; (one,) = json.load(sys.stdin)["plugins"]
assert [row["id"] for row in one["checks"] if row["status"] == "fail"] == ["file.regular"], one' <"$work/out"
  exits 1 timeout 20 "$VALIDATE" describe "$work/pipe.so"
}

# The commands bear what the checks bear.
isolatesCommands() {
  exits 1 "$VALIDATE" describe "$ZOO/crash_in_load.so"
  grep -q 'crash: SIGABRT while loading' "$work/err" || fail "$(cat "$work/err")"
  exits 1 "$VALIDATE" bench --limit 1 "$ZOO/hang_in_pick.so"
  grep -q 'with 2 backends: hang: no end within 1 s while picking' "$work/err" || fail "$(cat "$work/err")"
  exits 1 "$VALIDATE" describe "$ZOO/default_out_of_range.so"
}

# A mend is of what happened: of a crash, of a hang, of what was changed.
fitsMends() {
  exits 1 "${judge[@]}" --only strategy.valid "$ZOO/crash_in_pick.so"
  grep -q '^        mend: find out who called abort' "$work/out" || fail "$(cat "$work/out")"
  exits 1 "$VALIDATE" --limit 2 --only strategy.valid "$ZOO/hang_in_pick.so"
  grep -q '^        mend: wait for nothing there .*--limit' "$work/out" || fail "$(cat "$work/out")"
  exits 1 "${judge[@]}" --only process. "$ZOO/umask_in_create.so"
  grep -q '^        mend: give the mode to open' "$work/out" || fail "$(cat "$work/out")"
  exits 1 "${judge[@]}" --only strategy.none "$ZOO/expect_backends.so"
  grep -q '^        mend: look at view->eligible_count first' "$work/out" || fail "$(cat "$work/out")"
  exits 1 "${judge[@]}" --only late. "$ZOO/turn_and_lie.so"
  grep -q 'answers 9999 of [89] backends after [0-9,]* picks, the clocks [34][.0-9]* s ahead' "$work/out" || fail "$(cat "$work/out")"
}

endsInTime() {
  exits 1 "$VALIDATE" --budget 0.3 "$PEAK"
  grep -qE '^  hang .* (no end within|is over)' "$work/out" || fail "$(cat "$work/out")"
}

# Whatever bytes a plugin writes, the report is UTF-8 without control characters, and JSON.
reportsOddBytes() {
  exits 1 "${judge[@]}" --only lifecycle. "$ZOO/babble_and_crash.so"
  grep -q 'it said: \\xff\\x1b\[2J"' "$work/out" || fail "$(cat -v "$work/out")"
  exits 1 "${judge[@]}" --json --only lifecycle. "$ZOO/babble_and_crash.so"
  python3 -c 'import json, sys; json.loads(sys.stdin.buffer.read().decode("utf-8"))' <"$work/out"
}

refusesOtherFiles() {
  head -c 3000 "$FIRST" >"$work/cut.so"
  echo "no plugin" >"$work/text.so"
  chmod go-w "$work"/*.so
  exits 1 "$VALIDATE" "$work/cut.so"
  exits 1 "$VALIDATE" "$work/text.so"
  grep -q 'fail  elf.format' "$work/out" || fail "$(cat "$work/out")"
  tail -1 "$work/out" | grep -q '^  refused for elf.format: ' || fail "the verdict hides why: $(cat "$work/out")"
}

describes() {
  exits 0 "$VALIDATE" describe "$PEAK"
  python3 -c 'import json, sys; told = json.load(sys.stdin); assert told["id"] == "peak_ewma", told
assert told["options"]["type"] == "object", told' <"$work/out"
}

benches() {
  exits 0 "$VALIDATE" bench "$FIRST" --limit 60
  [ "$(grep -cE '^ *[0-9]+ +[0-9.]+$' "$work/out")" = 5 ] || fail "$(cat "$work/out")"
}

installs() {
  mkdir "$work/plugins"
  exits 0 "$VALIDATE" install "$FIRST" "$work/plugins"
  cmp "$FIRST" "$work/plugins/$(basename "$FIRST")"
  [ "$(find "$work/plugins" -type f | wc -l)" = 1 ] || fail "something else was left there"
  exits 2 "$VALIDATE" install "$FIRST" "$work/nowhere"
  echo "no plugin" >"$work/text.so"
  chmod go-w "$work/text.so"
  exits 1 "$VALIDATE" install "$work/text.so" "$work/plugins"
  [ "$(find "$work/plugins" -type f | wc -l)" = 1 ] || fail "it installed what no balancer loads"
}

"$1"
