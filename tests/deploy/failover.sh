# SPDX-License-Identifier: MIT
#
# Two balancers on machines of their own, which are network namespaces: lb1 and lb2 with the addresses 10.0.0.11 and
# 10.0.0.12 towards clients and 10.0.1.1 and 10.0.1.2 towards the backends, 10.0.1.10 to 10.0.1.12.
# shellcheck shell=bash

# host NAME BRIDGE=ADDRESS...: a machine with an interface, eth0 and so on, at each of the bridges.
host() {
  local name=$1 at number=0; shift
  ip netns add "$name"
  ip -n "$name" link set lo up
  for at in "$@"; do
    ip link add "$name$number" type veth peer name "eth$number" netns "$name"
    ip link set "$name$number" master "${at%%=*}" up
    ip -n "$name" addr add "${at#*=}" dev "eth$number"
    ip -n "$name" link set "eth$number" up
    number=$((number + 1))
  done
}

on() { ip netns exec "$@"; }

# network: the bridges, the machines of the backends and of the balancers, and what runs on them. With $forwards = 1 the
# kernels of the balancers' machines forward.
network() {
  local number bridge
  mount -t tmpfs tmpfs /run
  for bridge in front back clients; do
    ip link add "$bridge" type bridge
    ip link set "$bridge" up
  done
  for number in 0 1 2; do
    host "backend$number" "back=10.0.1.1$number/24"
    start "$WORK/backend$number.log" ip netns exec "backend$number" \
      "$lemonade" worker --address 0.0.0.0:8080 --name "backend-$number"
  done
  for number in 1 2; do
    host "lb$number" "front=10.0.0.1$number/24" "back=10.0.1.$number/24"
    on "lb$number" sysctl -q "net.ipv4.ip_forward=${forwards:-0}"
  done
}

# balancer LB: starts it; its process id is in $started.
balancer() {
  start "$WORK/$1.log" ip netns exec "$1" "$lemonade" lb --config "$WORK/lb.toml"
  eventually 30 answers "$1" readyz
}

# answers LB PATH: the admin listener says yes.
answers() { on "$1" curl --silent --fail --output /dev/null --max-time 1 "http://127.0.0.1:9090/$2"; }

# configure LINES: with these of the strategy and of whatever else; the backends have the $weights.
configure() {
  local number
  {
    printf '%s\n[health]\ninterval = "500ms"\ntimeout = "500ms"\n' "$1"
    for number in 0 1 2; do
      printf '[[backends]]\nid = %s\naddress = "10.0.1.1%s:8080"\nweight = %s\n' $number $number "${weights[number]:-1}"
    done
  } >"$WORK/lb.toml"
}

# keep LB: keepalived with the file that is shipped, or $keepalived_conf; its process id is in $started.
keep() {
  start "$WORK/keepalived-$1.log" ip netns exec "$1" keepalived --dont-fork --vrrp --log-console --log-detail \
    --use-file="${keepalived_conf:-$SOURCE/config/keepalived/keepalived.conf}" --pid="/run/$1.pid" --vrrp_pid="/run/$1-vrrp.pid"
}

# hasChecked LB: its keepalived has had a good answer to each of the two checks.
hasChecked() { [ "$(grep -oE 'VRRP_Script\((alive|ready)\) succeeded' "$WORK/keepalived-$1.log" | sort -u | wc -l)" -eq 2 ]; }

holds() { [[ $(ip -n "$1" addr show dev eth0) == *" 10.0.0.100/"* ]]; }
oneHolds() { if holds lb1; then ! holds lb2; else holds lb2; fi; }

# activePassive [LINES]: two machines with keepalived and the balancer; $active holds the address, $passive does not.
# $active_balancer, $passive_balancer and $active_keeper are process ids. The lines are of the configuration.
activePassive() {
  local balancers=() keepers=() number
  need keepalived
  network
  host client front=10.0.0.1/24
  configure "${1:-runtime.grace_millis = 3000}"
  for number in 1 2; do
    balancer "lb$number"
    balancers[number]=$started
    keep "lb$number"
    keepers[number]=$started
  done
  for number in 1 2; do eventually 30 hasChecked "lb$number"; done
  eventually 30 oneHolds
  if holds lb1; then number=1; else number=2; fi
  active=lb$number passive=lb$((3 - number))
  active_balancer=${balancers[number]} active_keeper=${keepers[number]}
  passive_balancer=${balancers[3 - number]}
}

# clientsMeet SECONDS COMMAND...: clients come for so long, and after a second or two the command is run: at any moment
# between two checks of keepalived.
# Each waits a second for its answer, or $patience. What they met is in $connects, $failed, $refused and $outage_ms, as
# connects.py says.
clientsMeet() {
  local seconds=$1 said clients; shift
  start "$WORK/connects" ip netns exec client "$SOURCE/tests/deploy/connects.py" 10.0.0.100 8080 "$seconds" "${patience:-1}"
  clients=$started
  sleep "1.$((RANDOM % 10))"
  "$@"
  wait "$clients"
  said=$(cat "$WORK/connects")
  echo "$*: $said"
  [[ $said =~ connects=([0-9]+)\ failed=([0-9]+)\ refused=([0-9]+)\ outage_ms=([0-9]+) ]] || fail "they said: $said"
  connects=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]} refused=${BASH_REMATCH[3]} outage_ms=${BASH_REMATCH[4]}
}

# outageIsShort: some failed, so that something was shown, and for 2 s at most; now the other machine has the address.
outageIsShort() {
  [ "$failed" -gt 0 ] && [ "$failed" -lt "$connects" ] || fail "$failed of $connects failed"
  [ "$outage_ms" -le 2000 ] || fail "clients were refused for $outage_ms ms"
  holds "$passive" || fail "the address did not move"
}

nobodyFailed() { [ "$failed" -eq 0 ] || fail "$failed of $connects failed"; }

# Its exit code says nothing: version 2.2.7 ends by SIGTERM whatever it found.
takesShippedFile() {
  need keepalived
  keepalived --config-test --use-file="$SOURCE/config/keepalived/keepalived.conf" >"$WORK/wrong" 2>&1 || true
  [ ! -s "$WORK/wrong" ] || fail "$(cat "$WORK/wrong")"
}

room_killed() {
  activePassive
  clientsMeet 5 kill -KILL "$active_balancer"
  outageIsShort
  # It comes back, and does not take the address back.
  clientsMeet 5 balancer "$active"
  nobodyFailed
  holds "$passive" || fail "the address moved back"
}
killedBalancer() { inRoom room_killed; }

# One that dies alone is started again by its supervisor, on the sockets it had; the address may move meanwhile or not.
room_restarted() {
  activePassive
  clientsMeet 5 kill -KILL "$(pgrep -P "$active_balancer")"
  [ "$outage_ms" -le 2000 ] || fail "clients were refused for $outage_ms ms"
  eventually 10 answers "$active" readyz
}
restartedBalancer() { need pgrep; inRoom room_restarted; }

# Clients come on to the one that stops until the address has moved. What is under way at that moment is cut, as a move
# does to every open connection; that is a moment, and nobody is refused. A connect that is lost in it comes again after a
# second.
room_stopped() {
  local patience=4
  activePassive
  clientsMeet 6 kill -TERM "$active_balancer"
  holds "$passive" || fail "the address did not move"
  [ "$refused" -eq 0 ] || fail "$refused of $connects were refused"
  [ "$outage_ms" -le 250 ] || fail "clients were cut off for $outage_ms ms"
}
stoppedBalancer() { inRoom room_stopped; }

# machineDies: at once, and without a word.
machineDies() {
  ip -n "$active" link set eth0 down
  kill -KILL "$active_balancer" "$active_keeper"
}

room_dead() {
  activePassive
  clientsMeet 5 machineDies
  outageIsShort
}
deadMachine() { inRoom room_dead; }

cutOff() { ip -n "$1" link set eth1 down; }
ready() { answers "$1" readyz; }
notReady() { ! ready "$1"; }

# One that sees no backend leaves the address to one that does; where no machine sees any, it stays.
room_cutOff() {
  activePassive
  cutOff "$active"
  eventually 20 holds "$passive"
  eventually 5 oneHolds
  cutOff "$passive"
  eventually 20 notReady "$passive"
  sleep 3
  holds "$passive" || fail "nobody has the address, or it moved to one that sees no backend either"
}
cutOffFromBackends() { inRoom room_cutOff; }

# asTold HOST NUMBER: the host does what the NUMBERth block of the guide's Active-active says.
asTold() {
  guideSays Active-active "$2" >"$WORK/told"
  on "$1" bash -euc 'sudo() { "$@"; }; source "$0"' "$WORK/told" >"$WORK/told.log" ||
    fail "$(cat "$WORK/told" "$WORK/told.log")"
}

readonly addresses=(10.0.2.{10..33})

# backendOf CLIENT ADDRESS: the backend that every one of six connections of the client was sent to.
backendOf() {
  local said
  said=$(on clients curl --silent --max-time 5 --interface "$1" --header 'Connection: close' \
    "http://$2:8080/work#[1-6]" | grep -oE '"worker":"[^"]*"') || true
  [ "$(wc -l <<<"$said")" -eq 6 ] || fail "$1 had $(wc -l <<<"$said") answers of 6 by $2"
  said=$(sort -u <<<"$said")
  [ "$(wc -l <<<"$said")" -eq 1 ] || fail "$1 was sent to several by $2: $said"
  echo "$said"
}

# backends ADDRESS: a line for each client with its backend.
backends() { local client; for client in "${addresses[@]}"; do echo "$client $(backendOf "$client" "$1")"; done; }

# same FILE OTHER WHAT
same() { cmp --silent "$1" "$2" || fail "$3:"$'\n'"$(diff "$1" "$2")"; }

accepted() {
  on "$1" curl --silent --max-time 1 http://127.0.0.1:9090/metrics |
    awk '/^lemonade_proxy_accepted_total[{ ]/ { sum += $NF; seen = 1 } END { if (seen) print sum }'
}

# routedNetwork: a router between clients and the two balancers; their process ids are in ${balancers[1]} and [2].
routedNetwork() {
  local number client
  network
  host router front=10.0.0.1/24 clients=10.0.2.1/24
  host clients clients=10.0.2.2/24
  for client in "${addresses[@]}"; do ip -n clients address add "$client/24" dev eth0; done
  ip -n clients route add 10.0.0.0/24 via 10.0.2.1
  on router sysctl -q net.ipv4.ip_forward=1
  configure 'strategy = {algorithm = "consistent_hash", options = {load_factor = 0}}'
  for number in 1 2; do
    ip -n "lb$number" route add 10.0.2.0/24 via 10.0.0.1
    asTold "lb$number" 1
    balancer "lb$number"
    balancers[number]=$started
  done
  asTold router 2
}

room_active() {
  local number count balancers=()
  routedNetwork
  backends 10.0.0.11 >"$WORK/by 1"
  backends 10.0.0.12 >"$WORK/by 2"
  same "$WORK/by 1" "$WORK/by 2" "the two balancers send clients to different backends"
  [ "$(cut -d' ' -f2 "$WORK/by 1" | sort -u | wc -l)" -eq 3 ] || fail "not every backend has clients"
  # By the router each client comes through both.
  local before=("" "$(accepted lb1)" "$(accepted lb2)")
  backends 10.0.0.100 >"$WORK/by both"
  same "$WORK/by 1" "$WORK/by both" "by the router clients come to other backends"
  for number in 1 2; do
    count=$(($(accepted "lb$number") - before[number]))
    echo "lb$number had $count connections"
    [ $count -ge $((${#addresses[@]} * 6 / 4)) ] || fail "lb$number had $count connections"
  done
  # One dies.
  kill -KILL "${balancers[1]}"
  asTold router 3
  backends 10.0.0.100 >"$WORK/by one"
  same "$WORK/by 1" "$WORK/by one" "by the balancer that is left clients come to other backends"
}
activeActive() { inRoom room_active; }

# kept: how many connections are answered now.
kept() { echo >&"${keeper[1]}"; read -r -u "${keeper[0]}" answers; echo "$answers"; }

# A path that goes takes its own connections with it and no others, and one that comes takes none.
room_paths() {
  local balancers=() answers before after
  routedNetwork
  before=$(accepted lb2)
  coproc keeper { exec ip netns exec clients "$SOURCE/tests/deploy/keeps.py" 10.0.0.100 8080 40; }
  children=("$keeper_PID" "${children[@]}")
  read -r -u "${keeper[0]}" answers
  [ "$answers" -eq 40 ] || fail "$answers of 40 were answered"
  after=$(($(accepted lb2) - before))
  [ $after -gt 0 ] && [ $after -lt 40 ] || fail "lb2 had $after of 40"
  kill -KILL "${balancers[1]}"
  asTold router 3
  answers=$(kept)
  [ "$answers" -eq $after ] || fail "lb2 had $after, and $answers were answered when the other was gone"
  balancer lb1
  asTold router 4
  answers=$(kept)
  [ "$answers" -eq $after ] || fail "lb2 had $after, and $answers were answered when the other was back"
  before=$(accepted lb1)
  backends 10.0.0.100 >"$WORK/by both"
  [ "$(accepted lb1)" -gt "$before" ] || fail "the one that is back has no clients"
}
pathsComeAndGo() { inRoom room_paths; }
