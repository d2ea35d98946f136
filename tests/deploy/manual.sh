# SPDX-License-Identifier: MIT
#
# Manual pages and shell completions, as the build has made them.
# shellcheck shell=bash

[ -z "$SANITIZE" ] || skip "manual pages are not made with sanitizers"
readonly made=$BUILD/tools/manual/out
readonly pages=$made/man

page() { MANWIDTH=200 man -M "$pages" "$@"; }

pagesAreClean() {
  local file name section count=0
  need man lexgrog
  for file in "$pages"/man?/*.gz; do
    name=$(basename "$file" .gz) section=${name##*.} name=${name%.*}
    page --warnings "$section" "$name" >"$WORK/page" 2>"$WORK/warnings"
    [ ! -s "$WORK/warnings" ] || fail "$file: $(cat "$WORK/warnings")"
    lexgrog "$file" >/dev/null || zcat "$file" | grep -q '^\.so ' || fail "$file has no name for whatis"
    count=$((count + 1))
  done
  [ $count -ge 6 ] || fail "there are only $count pages"
}

# pageShowsHelp PAGE COMMAND...: each option and command that the help of COMMAND lists is on the page.
pageShowsHelp() {
  local word page=$1; shift
  page 1 "$page" >"$WORK/page"
  for word in $("$@" --help | grep -oE '^ +(-[a-z],)?--[a-z-]+|^  [a-z][a-z_-]+' | tr ',' ' '); do
    shows "$WORK/page" "$word"
  done
}

pagesShowEverything() {
  local command key
  need man
  pageShowsHelp lemonade "$lemonade"
  for command in $("$lemonade" --help | sed -n '/^Subcommands:/,$s/^  \([a-z_-]*\).*/\1/p'); do
    pageShowsHelp "lemonade-$command" "$lemonade" "$command"
  done
  pageShowsHelp plugin-validate "$BUILD/bin/plugin-validate"
  # Every key is in this file, and every variable in this page; other tests hold both to the host.
  page 5 lemonade.toml >"$WORK/page"
  for key in $(grep -oE '^[a-z_]+ =' "$SOURCE/config/lemonade.toml" | cut -d' ' -f1); do
    shows "$WORK/page" "       $key"
  done
  for key in $(grep -oE '^\| `[A-Z_]+`' "$SOURCE/docs/configuration.md" | tr -d '|` '); do
    shows "$WORK/page" "       $key"
  done
  shows "$WORK/page" "backlog  (integer, default 4096, range 1 to 65535)"
}

# completes SHELL "WORDS" EXPECTED...: what is offered at the end of the words holds each of the expected.
completes() {
  local shell=$1 words=$2 offered expected; shift 2
  offered=$("complete_$shell" "$words")
  for expected in "$@"; do
    grep -qxF -- "$expected" <<<"$offered" || fail "$shell does not offer '$expected' after '$words' but: $offered"
  done
}

# offersNot SHELL "WORDS" TEXT
offersNot() {
  if "complete_$1" "$2" | grep -qxF -- "$3"; then fail "$1 offers '$3' after '$2'"; fi
}

complete_bash() {
  bash --norc -c '
    source "$1/${2%% *}"
    read -ra COMP_WORDS <<<"$2"
    [[ $2 != *" " ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    "_$(tr - _ <<<"${COMP_WORDS[0]}")"
    printf "%s\n" "${COMPREPLY[@]}"' - "$made/bash" "$1"
}

complete_fish() { HOME=$WORK/home fish --no-config -c "source '$made/fish/${1%% *}.fish'; complete -C '$1'" | cut -f1; }

# zsh completes only at a terminal, so it is given one, and what it would list is written down instead.
complete_zsh() {
  cat >"$WORK/zshrc" <<END
fpath=('$made/zsh' \$fpath)
autoload -U compinit && compinit -u -d '$WORK/zcompdump'
compadd() {
  local -a found
  builtin compadd -O found "\$@"
  print -rl -- "\${found[@]}" >>'$WORK/offered'
  builtin compadd "\$@"
}
compdone() { touch '$WORK/done' }
comppostfuncs=(compdone)
PROMPT= ; touch '$WORK/ready'
END
  rm -f "$WORK"/{offered,done,ready}
  touch "$WORK/offered"
  zsh -f -c '
    zmodload zsh/zpty
    zpty shell "cd $1/home && exec zsh -f -i"
    zpty -w shell "source $1/zshrc"
    for ((i = 0; i < 200; ++i)); do [[ -e $1/ready ]] && break; zpty -rt shell said; sleep 0.05; done
    zpty -wn shell "$2"$'"'\t'"'
    for ((i = 0; i < 200; ++i)); do [[ -e $1/done ]] && break; zpty -rt shell said; sleep 0.05; done
    zpty -d shell' - "$WORK" "$1" >/dev/null
  cat "$WORK/offered"
}

completesIn() {
  local shell=$1
  mkdir -p "$WORK/home/folder" && cd "$WORK/home"
  touch here.toml
  completes "$shell" "lemonade " load-balancer lb worker
  completes "$shell" "lemonade lb --" --config --validate --plugin-dir --help
  completes "$shell" "lemonade load-balancer --va" --validate
  completes "$shell" "lemonade worker --" --address --delay
  offersNot "$shell" "lemonade worker --" --validate
  offersNot "$shell" "lemonade " preflight
  completes "$shell" "lemonade lb --config h" here.toml
  completes "$shell" "plugin-validate " describe install
  completes "$shell" "plugin-validate --" --thorough --json
  completes "$shell" "lemonade-new-plugin " strategy health_checker metrics_sink
  completes "$shell" "lemonade-backup " save list restore
  completes "$shell" "lemonade-backup save --" --config --to --days
}

completesInBash() { completesIn bash; }
completesInZsh() { need zsh; completesIn zsh; }
completesInFish() { need fish; completesIn fish; }
