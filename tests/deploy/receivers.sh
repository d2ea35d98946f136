# SPDX-License-Identifier: MIT
#
# What the pushing sinks send, as receivers that are not ours understand it: the statsd daemon of npm, and the protocol
# of OpenTelemetry as its own generated code reads it. The configurations are those of docs/metrics.md.
# shellcheck shell=bash

readonly here=$SOURCE/tests/deploy/receivers

# fetched NAME PACKAGE: a package of npm with what it needs, in $modules; downloaded once.
fetched() {
  modules=$cache/$1
  [ ! -d "$modules" ] || return 0
  need npm node
  npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional --prefix "$modules.making" "$2" \
    >"$WORK/npm.log" 2>&1 || skip "npm cannot install $2 here: $(tail -n 1 "$WORK/npm.log")"
  mv "$modules.making" "$modules"
}

# documented SECTION: the configuration in that section of docs/metrics.md.
documented() { python3 -B "$SOURCE/tests/deploy/guide_blocks.py" "$SOURCE/docs/metrics.md" "$1" 1 toml; }

freePort() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# startReported SECTION SED: the balancer in front of a worker, with a configuration of the page, in which sed replaces
# what is the operator's.
startReported() {
  startWorker "$WORK/worker.log" a
  {
    documented "$1" | sed -e "$2" -e 's/^interval = .*/interval = "200ms"/'
    printf '[proxy]\nlisten_address = "127.0.0.1:0"\n[admin]\nlisten_address = "127.0.0.1:0"\n'
    printf '[[backends]]\nid = "a"\naddress = "%s"\n' "$worker"
  } >"$WORK/config.toml"
  startBalancer "$WORK/balancer.log" --config "$WORK/config.toml"
}

# visits NUMBER: so many clients, each with a request.
visits() {
  local i
  for ((i = 0; i < $1; i++)); do curl -sf -o /dev/null "http://$front/work" || fail "the worker does not answer"; done
}

# startStatsd: the daemon, on UDP $port, asked at $asked. It sums up for a minute.
startStatsd() {
  printf '{port: %s, address: "127.0.0.1", mgmt_port: %s, mgmt_address: "127.0.0.1", flushInterval: 60000, %s}\n' \
    "$port" "$asked" "backends: []" >"$WORK/statsd.js"
  start "$WORK/statsd.log" node "$modules/node_modules/statsd/stats.js" "$WORK/statsd.js"
  statsd=$started
  eventually 20 bash -c "exec 3<>/dev/tcp/127.0.0.1/$asked" 2>/dev/null
}

# told COMMAND: what the daemon says to a command of its console.
told() {
  timeout 10 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"; printf "%s\n" "$2" >&3; sed "/^END/q" <&3' - "$asked" "$1"
}

# knows COMMAND PATTERN: the daemon says that to a command.
knows() { grep -qE -- "$2" <<<"$(told "$1" 2>/dev/null)"; }

# statsdKnows TAGS LABELS: seven clients of the backend are what the daemon says, with its labels in this form.
statsdKnows() {
  fetched statsd-0.9 statsd@0.9
  port=$(freePort) asked=$(freePort)
  startStatsd
  startReported "The statsd sink" "s/127.0.0.1:8125/127.0.0.1:$port/; s/^tags = .*/tags = \"$1\"/"
  eventually 20 knows gauges "'lb1\.lemonade_backend_up$2.*': 1"
  visits 7
  eventually 20 knows counters "'lb1\.lemonade_backend_sessions_total$2.*': 7"
  eventually 20 knows timers "'lb1\.lemonade_backend_connect_seconds$2.*': \["
  knows stats "messages.bad_lines_seen: 0$" || fail "lines that the daemon does not read: $(cat "$WORK/statsd.log")"
}

statsdCounts() { statsdKnows none "\.default\.a\."; }
statsdCountsTagged() { statsdKnows dogstatsd ";pool=default;backend=a;"; }

statsdRestarts() {
  statsdCounts
  kill "$statsd"; wait "$statsd" 2>/dev/null || true
  eventually 20 grep -q "Connection refused" "$WORK/balancer.log"
  startStatsd
  eventually 20 knows gauges "'lb1\.lemonade_backend_up\.default\.a\."
}

# startOtlp ARGUMENT...: the receiver, at $receiver.
startOtlp() {
  fetched otlp-transformer-0.203 @opentelemetry/otlp-transformer@0.203.0
  start "$WORK/otlp.log" node "$here/otlp.cjs" "$modules" "$@"
  eventually 20 grep -q '^listening' "$WORK/otlp.log"
  receiver=$(sed -n 's/^listening //p' "$WORK/otlp.log")
}

otlpSees() {
  eventually 20 grep -q "^resource .*service.name=lemonade " "$WORK/otlp.log"
  visits 7
  eventually 20 grep -qE "^sum lemonade_backend_sessions_total 7 .*pool=default backend=a" "$WORK/otlp.log"
  eventually 20 grep -qE "^histogram lemonade_backend_connect_seconds 7 " "$WORK/otlp.log"
  shows "$WORK/otlp.log" "gauge lemonade_backend_up 1 "
  if grep '^wrong' "$WORK/otlp.log"; then fail "the receiver does not read everything"; fi
}

otlpCounts() {
  startOtlp
  startReported "The otlp sink" "s#http://127.0.0.1:4318#http://$receiver#"
  otlpSees
}

otlpOverTls() {
  need openssl
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
    -keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>"$WORK/openssl.log" || fail "$(cat "$WORK/openssl.log")"
  startOtlp "$WORK/key.pem" "$WORK/cert.pem"
  startReported "The otlp sink" "s#http://127.0.0.1:4318.*#https://$receiver\"\nca_file = \"$WORK/cert.pem\"#"
  otlpSees
}

# asks BODY: what the receiver answers to it; the first request is turned away.
asks() {
  curl -s -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d "$1" "http://$receiver/v1/metrics"
}

otlpMistakesAreFound() {
  local point='{"timeUnixNano":"1","asDouble":1}' metric
  startOtlp
  asks '{}' >/dev/null
  for metric in "\"gauge\":{\"dataPoints\":[$point]}" "\"gauge\":{\"dataPoints\":[$point],\"isMonotonic\":true}" \
    "\"gauges\":{\"dataPoints\":[$point]}" '"gauge":{"dataPoints":[{"timeUnixNano":"1","asDouble":"x"}]}'; do
    asks "{\"resourceMetrics\":[{\"resource\":{},\"scopeMetrics\":[{\"metrics\":[{\"name\":\"g\",$metric}]}]}]}"
    echo " $metric"
  done >"$WORK/answers"
  [ "$(cut -d' ' -f1 "$WORK/answers" | tr '\n' ' ')" = "200 400 400 400 " ] ||
    fail "it answers $(cat "$WORK/answers")"
}
