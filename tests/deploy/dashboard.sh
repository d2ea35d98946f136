# SPDX-License-Identifier: MIT
#
# The dashboard is what Grafana takes, as far as Grafana's own types say: Debian has no Grafana to import it into.
# shellcheck shell=bash

# types: Grafana's schema and a compiler from npm, in $modules; downloaded once.
types() {
  modules=$cache/grafana-schema-13
  [ ! -d "$modules" ] || return 0
  need npm node
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$modules.making" @grafana/schema@13 typescript@5 \
    >"$WORK/npm.log" 2>&1 || skip "npm cannot install Grafana's schema here: $(tail -n 1 "$WORK/npm.log")"
  mv "$modules.making" "$modules"
}

# matches FILE: written as a literal, in which the compiler finds what the type does not have. The type knows no query
# of an annotation, as each kind of data source has its own; that of Prometheus is expr with two formats.
matches() {
  {
    echo 'import type { AnnotationQuery, Dashboard } from "@grafana/schema";'
    echo 'type Query = { expr: string; titleFormat: string; textFormat: string };'
    echo 'type Annotations = { list: (AnnotationQuery & Query)[] };'
    echo 'export const board: Omit<Dashboard, "annotations"> & { annotations: Annotations } ='
    cat "$1"
  } >"$modules/board.ts"
  "$modules/node_modules/.bin/tsc" --noEmit --strict --skipLibCheck --target es2020 --module nodenext \
    "$modules/board.ts"
}

isWhatGrafanaTakes() {
  local dashboard=$SOURCE/config/grafana/lemonade.json mistake
  types
  matches "$dashboard" || fail "the dashboard is not what Grafana takes"
  for mistake in 's/"gridPos"/"gridpos"/' 's/"schemaVersion": 37/"schemaVersion": "37"/' \
                 's/"multi": true/"many": true/' 's/"h": 8/"h": "8"/'; do
    sed "$mistake" "$dashboard" >"$WORK/doctored.json"
    cmp --silent "$dashboard" "$WORK/doctored.json" && fail "$mistake changes nothing"
    if matches "$WORK/doctored.json" >/dev/null; then fail "not found: $mistake"; fi
  done
}
