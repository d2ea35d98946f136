# SPDX-License-Identifier: MIT
#
# lemonade-backup: what it keeps is valid and whole, what it removes is its own, and what it brings back is taken.
# shellcheck shell=bash

need flock sha256sum curl
export PATH=$BUILD/bin:$PATH
# Blanks, for what forgets its quotes.
readonly home="$WORK/the configuration" kept="$WORK/kept copies"
readonly config="$home/production file.toml"

backup() { "$SOURCE/tools/backup" "$1" --config "$config" --to "$kept" "${@:2}"; }

# list has no --config.
copies() { "$SOURCE/tools/backup" list --to "$kept"; }

# configure NAME: a configuration whose only backend has this name.
configure() {
  cat >"$home/new" <<END
proxy.listen_address = "127.0.0.1:0"
admin.listen_address = "127.0.0.1:0"
runtime.config_watch_interval_millis = 50
plugins.directories = ["plugins of ours"]
[[backends]]
id = "$1"
address = "127.0.0.1:1"
END
  mv "$home/new" "$config"
}

begin() {
  rm -rf "$WORK"
  mkdir -p "$home"
  configure first
}

# refuses TEXT COMMAND...: it exits 1 and says why.
refuses() {
  local text=$1 code=0; shift
  "$@" >"$WORK/said" 2>&1 || code=$?
  [ $code -eq 1 ] || fail "exit code $code of: $*"
  shows "$WORK/said" "$text"
}

# isOlder COPY DAYS: has the index say that the copy was saved so long ago.
isOlder() {
  awk -v copy="${1##*/}" -v time=$(($(date +%s) - $2 * 86400)) '$3 == copy { $1 = time } { print }' \
    "$kept/.lemonade-backups" >"$WORK/index"
  cp "$WORK/index" "$kept/.lemonade-backups"
}

statusHas() { grep -q "\"id\": *\"$1\"" <<<"$(curl -fs "http://$admin/api/v1/status")"; }

# Backed up, broken, replaced, brought back: the running balancer has what it had.
bringsBack() {
  begin
  startBalancer "$WORK/log" --config "$config"
  statusHas first || fail "$(curl -s "http://$admin/api/v1/status")"
  backup save
  configure second
  eventually 10 statusHas second
  echo "nonsense" >"$config"
  refuses "does not validate; nothing was saved" backup save
  [ "$(copies | wc -l)" -eq 1 ] || fail "it kept what is nonsense"
  backup restore
  eventually 10 statusHas first
  [ "$(cat "$config".replaced-*)" = nonsense ] || fail "what was replaced is gone"
  kill -0 "$started" || fail "the balancer ended"
}

keepsOwnerAndMode() {
  begin
  chmod 640 "$config"
  [ "$(id -u)" -ne 0 ] || chown 1:2 "$config"
  backup save
  local before after
  before=$(stat -c '%a %u:%g' "$config")
  echo "nonsense" >"$config"
  backup restore
  after=$(stat -c '%a %u:%g' "$config")
  [ "$before" = "$after" ] || fail "it was $before and is $after"
  [ "$(stat -c %a "$(copies)")" = 600 ] || fail "others may read the copy"
}

# Of what is older than thirty days it removes its own, and of that neither the newest nor what somebody changed.
removesOnlyItsOwn() {
  begin
  local stranger="$kept/lemonade-config-20200101_000000.toml" i copies
  for i in 1 2 3 4; do backup save; done
  mapfile -t copies < <(copies)
  [ ${#copies[@]} -eq 4 ] || fail "four were saved within a second, and there are: ${copies[*]}"
  echo "mine" >"$stranger"
  touch -d '2020-01-01' "$stranger"
  for i in 0 1 3; do isOlder "${copies[i]}" 31; done
  isOlder "${copies[2]}" 29
  echo "# looked at" >>"${copies[1]}"
  backup save
  [ ! -e "${copies[0]}" ] || fail "it kept what is too old"
  [ -e "${copies[1]}" ] || fail "it removed what somebody changed"
  [ -e "${copies[2]}" ] || fail "it removed what is not old enough"
  [ ! -e "${copies[3]}" ] || fail "it kept what is too old and no longer the newest"
  [ "$(cat "$stranger")" = mine ] || fail "it removed what is not its own"
  mapfile -t copies < <(copies)
  isOlder "${copies[-1]}" 1000
  # One that is all there is stays, however old.
  echo "nonsense" >"$config"
  refuses "nothing was saved" backup save
  [ -e "${copies[-1]}" ] || fail "it removed the newest"
}

restoresNoOtherThanWasSaved() {
  begin
  backup save
  local copy before
  copy=$(copies)
  before=$(sumOf "$config")
  echo "# looked at" >>"$copy"
  refuses "is not what was saved" backup restore
  refuses "is none that was saved" backup restore ../../etc/passwd
  [ "$before" = "$(sumOf "$config")" ] || fail "it changed the configuration"
}

sumOf() { sha256sum <"$1"; }

# A copy may have become invalid: what it names is gone.
restoresNoneThatDoesNotValidate() {
  begin
  echo 'strategy.algorithm = "com.example.gone"' | cat - "$config" >"$WORK/new"
  backup save
  cp "$(copies)" "$WORK/saved"
  # As if saved when there was such a plugin.
  cp "$WORK/new" "$(copies)"
  awk -v sum="$(sha256sum <"$WORK/new" | cut -d' ' -f1)" '{ $2 = sum; print }' "$kept/.lemonade-backups" >"$WORK/index"
  cp "$WORK/index" "$kept/.lemonade-backups"
  refuses "com.example.gone" backup restore
  cmp "$config" "$WORK/saved" || fail "it changed the configuration"
}

triesWithoutChange() {
  begin
  backup save
  configure second
  local before
  before=$(sumOf "$config")
  backup restore --try | grep -q 'can be restored' || fail "it does not say that it can"
  [ "$before" = "$(sumOf "$config")" ] || fail "it changed the configuration"
  [ "$(find "$home" -name '.restoring*' -o -name '*.replaced*')" = "" ] || fail "it left something behind"
}

# Whoever reads meanwhile reads all of the one or all of the other.
replacesAtOnce() {
  begin
  backup save
  configure second
  backup save
  local i sums
  mapfile -t copies < <(copies)
  sums=" $(sumOf "${copies[0]}") $(sumOf "${copies[1]}") "
  (for i in 0 1 0 1 0 1; do backup restore "${copies[i]}" >/dev/null; done; touch "$WORK/over") &
  children+=($!)
  until [ -e "$WORK/over" ]; do
    [[ $sums == *" $(sumOf "$config") "* ]] || fail "it reads: $(cat "$config")"
  done
}
