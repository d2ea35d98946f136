# SPDX-License-Identifier: MIT
#
# The settings for the machine that config/ ships: the kernel knows and takes each of them.
# shellcheck shell=bash

settings() { sed -n 's/^-\{0,1\}\([a-z]\)/\1/p' "$SOURCE/config/sysctl.d/60-lemonade.conf"; }

inNamespace() {
  need unshare
  needRoot
  unshare --net true 2>/dev/null || skip "network namespaces may not be made here"
  within "unshare --net" "$1"
}

fileOf() { echo "/proc/sys/${1//./\/}"; }

inner_setsEach() {
  local name value file set=0
  while IFS=' =' read -r name value; do
    file=$(fileOf "$name")
    [ -e "$file" ] || { echo "$name is not of a network namespace"; continue; }
    echo "$value" >"$file" || fail "the kernel refuses $name = $value"
    [ "$(tr '\t' ' ' <"$file")" = "$value" ] || fail "$name became $(cat "$file"), not $value"
    set=$((set + 1))
  done < <(settings)
  [ $set -ge 6 ] || fail "only $set settings could be set"
}

setsEach() { inNamespace inner_setsEach; }

# What is of the whole machine is looked at, and set to what it is.
existsOnMachine() {
  local name value file alone=()
  needRoot
  while IFS=' =' read -r name value; do
    file=$(fileOf "$name")
    [ -e "$file" ] || fail "the kernel does not know $name"
    unshare --net test -e "$file" 2>/dev/null || alone+=("$name")
  done < <(settings)
  for name in "${alone[@]}"; do
    file=$(fileOf "$name")
    cat "$file" >"$WORK/value"
    cat "$WORK/value" >"$file" || skip "the machine's ${alone[*]} may not be set here"
  done
  [ ${#alone[@]} -eq 0 ] || skip "${alone[*]} is of the whole machine: it is there, but was set to no other value"
}

# Every setting says what it is for: a comment stands above it, or above the one before it.
settingsAreExplained() {
  local file
  for file in "$SOURCE"/config/sysctl.d/*.conf "$SOURCE"/config/limits.d/*.conf; do
    awk '/^#/ { explained = 1 } /^$/ { explained = 0 } /^-?[a-z]/ && !explained { print FILENAME ": " $0; found = 1 }
         END { exit found }' "$file" || fail "the settings above are not explained"
  done
}

# With these limits the shipped configuration lets in as many clients as it says.
limitsSuffice() {
  local soft
  soft=$(awk '$1 == "lemonade" && $2 == "soft" && $3 == "nofile" { print $4 }' "$SOURCE/config/limits.d/lemonade.conf")
  need prlimit
  prlimit --nofile="$soft:$soft" true 2>/dev/null || skip "the limit of descriptors may not be raised to $soft here"
  prlimit --nofile="$soft:$soft" --nproc=4096:4096 \
    "$lemonade" lb --config "$SOURCE/config/production.toml" --validate >"$WORK/said" 2>&1 || fail "$(cat "$WORK/said")"
  if grep -q 'descriptors' "$WORK/said"; then fail "$(cat "$WORK/said")"; fi
}
