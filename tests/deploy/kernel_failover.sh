# SPDX-License-Identifier: MIT
#
# Two balancers behind one address, as in failover.sh, whose kernels forward by a table that is kept ([kernel] keep):
# what the death of a balancer costs where its machine serves on.
# shellcheck shell=bash

# shellcheck source=failover.sh
source "$SOURCE/tests/deploy/failover.sh"

# asSaid: the file of keepalived that is shipped, with what it says is for a table that is kept. It is five times as
# patient, so that on a busy machine nothing moves by itself; who is dead is found at once all the same.
asSaid() {
  awk '{ sub("--max-time 1", "--max-time 5"); sub("^    timeout 1$", "    timeout 5"); sub("advert_int 0.2 ", "advert_int 1 ") }
       /^    fall 1$/ { sub(1, 3); falls++ } /^    # weight / { sub("# ", ""); weights++ } { print }
       END { exit falls != 2 || weights != 1 }' || fail "keepalived.conf has no such lines"
}

# forwarding LINE...: two machines whose kernels forward, as activePassive has them, with these lines of configuration.
# Whoever is asked gives each backend as many clients as any other; the table alone goes by the weights. The $gateway of
# the backends, where there is one, is an address that moves with the other.
forwarding() {
  forwards=1 weights=(6 3 1)
  keepalived_conf=$WORK/keepalived.conf
  asSaid <"$SOURCE/config/keepalived/keepalived.conf" >"$keepalived_conf"
  [ -z "${gateway:-}" ] || sed -i "s|^        10.0.0.100/24$|&\n        $gateway/24 dev eth1|" "$keepalived_conf"
  activePassive "$(printf '%s\n' 'proxy.forward = "kernel"' 'kernel.keep = true' 'strategy = "round_robin"' "$@")"
}

# killBoth PID: the supervisor, which has this process id, and the balancer.
killBoth() { kill -KILL "$1" "$(pgrep -P "$1")"; }

hasTable() { on "$1" nft list tables | grep -qx 'table inet lemonade'; }

# sessions LB: how many it counts; are LB COUNT: it counts so many.
sessions() {
  on "$1" curl --silent --max-time 1 http://127.0.0.1:9090/metrics |
    awk '/^lemonade_backend_active_sessions[{ ]/ { sum += $NF; seen = 1 } END { if (seen) print sum }'
}
are() { [ "$(sessions "$1")" = "$2" ]; }

# nobodyWasRefused: some may have been cut that were under way at the moment of the move, as any move does.
nobodyWasRefused() {
  [ "$refused" -eq 0 ] || fail "$refused of $connects were refused"
  [ "$outage_ms" -le 250 ] || fail "clients were cut off for $outage_ms ms"
}

# served: how many of 400 connections each backend gets, in $shares.
served() {
  local said number
  said=$(on client curl --silent --max-time 30 --header 'Connection: close' 'http://10.0.0.100:8080/work#[1-400]' |
    grep -oE '"worker":"[^"]*"') || true
  [ "$(wc -l <<<"$said")" -eq 400 ] || fail "$(wc -l <<<"$said") of 400 were answered"
  for number in 0 1 2; do shares[number]=$(grep -c "backend-$number" <<<"$said" || true); done
  echo "400 connections: ${shares[*]}"
}

# A relay's clients are refused from the moment it dies until the address has moved.
room_kernelKilled() {
  local patience=4
  forwarding
  clientsMeet 15 killBoth "$active_balancer"
  nobodyWasRefused
  holds "$passive" || fail "the address did not move"
  hasTable "$active" || fail "the table is gone"
  served  # by the other one, which lives
  [ "${shares[2]}" -gt 100 ] || fail "the strategy was not asked"
  # It comes back, and does not take the address back.
  clientsMeet 5 balancer "$active"
  nobodyFailed
  holds "$passive" || fail "the address moved back"
}
killedBalancer() { need pgrep nft; inRoom room_kernelKilled; }

# It ends at once, without a grace and without a drain.
room_kernelStopped() {
  local patience=4
  forwarding
  clientsMeet 15 kill -TERM "$active_balancer"
  nobodyWasRefused
  holds "$passive" || fail "the address did not move"
  hasTable "$active" || fail "the table is gone"
}
stoppedBalancer() { need nft; inRoom room_kernelStopped; }

# clientsStay: twelve, each with a connection over which it has had an answer.
clientsStay() {
  coproc keeper { exec ip netns exec client "$SOURCE/tests/deploy/moved.py" 10.0.0.100 8080 12; }
  children=("$keeper_PID" "${children[@]}")
  local answers
  read -r -u "${keeper[0]}" answers
  [ "$answers" -eq 12 ] || fail "$answers of 12 were answered"
}

# became ANSWERED RESET NEITHER: what becomes of their next requests.
became() { local said; said=$(kept); [ "$said" = "$*" ] || fail "answered, reset and neither were $said, not $*"; }

# sawDead LB: its keepalived has asked the balancer in vain.
sawDead() { grep -q 'VRRP_Script(alive) failed' "$WORK/keepalived-$1.log"; }

room_kernelBothDead() {
  forwarding
  clientsStay
  killBoth "$active_balancer"
  killBoth "$passive_balancer"
  eventually 20 sawDead lb1
  eventually 20 sawDead lb2
  oneHolds || fail "not one holds the address"
  clientsMeet 5 served
  nobodyFailed
  # 240, 120 and 40, give or take five standard deviations.
  [ "${shares[0]}" -ge 191 ] && [ "${shares[0]}" -le 289 ] && [ "${shares[2]}" -ge 10 ] && [ "${shares[2]}" -le 70 ] ||
    fail "they were not shared by weight"
  became 12 0 0
  holds "$active" || fail "the address moved, to one that is dead"
  # The next start finds them, and ends nothing.
  balancer "$active"
  eventually 10 are "$active" 12
  became 12 0 0
}
bothDead() { need pgrep nft; inRoom room_kernelBothDead; }

# resetsOf NAMESPACE: how many its kernel has sent.
resetsOf() { on "$1" awk '$1 == "Tcp:" { value = $15 } END { print value }' /proc/net/snmp; }

resetsOfBackends() { local number; for number in 0 1 2; do resetsOf "backend$number"; done; }

# isReachedAt LB: the client sends what is for the address to this one.
isReachedAt() {
  local mac
  mac=$(ip -n "$1" -brief link show dev eth0 | awk '{ print $3 }')
  [[ $(ip -n client neighbour show 10.0.0.100) == *" $mac "* ]]
}

# openFrom LB: how many connections backends have with it.
openFrom() {
  local number address=10.0.1.${1#lb}
  for number in 0 1 2; do
    on "backend$number" ss --no-header --numeric --tcp state established "dst $address and sport = :8080"
  done | wc -l
}
noneOpenFrom() { [ "$(openFrom "$1")" -eq 0 ]; }

# Connections through a machine end with their next packet where the address has moved: it comes to no backend.
room_kernelMoved() {
  local before resets
  forwarding 'proxy.idle_timeout = "30s"'
  clientsStay
  [ "$(openFrom "$active")" -eq 12 ] || fail "backends have $(openFrom "$active") connections of 12"
  before=$(resetsOfBackends)
  resets=$(resetsOf "$passive")
  killBoth "$active_balancer"
  eventually 20 isReachedAt "$passive"
  balancer "$active"
  eventually 10 are "$active" 12
  became 0 12 0
  [ "$(resetsOfBackends)" = "$before" ] || fail "backends were sent what was not for them"
  [ $(($(resetsOf "$passive") - resets)) -ge 12 ] || fail "it was not the machine of the address that reset them"
  # Opened again from the ports that they had before, they go on.
  became 12 0 0
  are "$passive" 12 || fail "the other one counts $(sessions "$passive")"
  # The backends' sides are with the machine before, whose balancer ends them when they have been idle for too long.
  [ "$(openFrom "$active")" -eq 12 ] || fail "backends had $(openFrom "$active") connections of 12"
  eventually 60 noneOpenFrom "$active"
  eventually 10 are "$active" 0
}
movedAddress() { need pgrep nft; inRoom room_kernelMoved; }

# copies LB OTHER: conntrackd tells the other one of each connection, which has its entry from then on.
copies() {
  cat >"$WORK/conntrackd-$1.conf" <<END
Sync {
  Mode FTFW { DisableExternalCache On }
  UDP {
    IPv4_address 10.0.0.1${1#lb}
    IPv4_Destination_Address 10.0.0.1${2#lb}
    Port 3780
    Interface eth0
  }
}
General {
  HashSize 32768
  HashLimit 131072
  LockFile /run/conntrackd-$1.lock
  UNIX { Path /run/conntrackd-$1.ctl }
  Filter From Userspace {
    Protocol Accept { TCP }
    Address Ignore { IPv4_address 127.0.0.1 }
  }
}
END
  start "$WORK/conntrackd-$1.log" ip netns exec "$1" conntrackd -C "$WORK/conntrackd-$1.conf"
}

# entriesAre LB COUNT: it has so many of connections that live.
entriesAre() { [ "$(on "$1" conntrack -L --mark 0x4c4d0000/0xffff0000 2>/dev/null | grep -c ESTABLISHED)" -eq "$2" ]; }

# Where entries are copied, backends see the clients' own addresses and their gateway moves along, a machine that dies
# ends no connection.
room_kernelCopied() {
  local gateway=10.0.1.100 number
  forwarding 'proxy.source = "keep"'
  for number in 0 1 2; do ip -n "backend$number" route add default via $gateway; done
  copies lb1 lb2
  copies lb2 lb1
  clientsStay
  eventually 10 entriesAre "$passive" 12
  ip -n "$active" link set eth1 down
  machineDies
  eventually 20 isReachedAt "$passive"
  became 12 0 0
  eventually 10 are "$passive" 12
}
copiedEntries() { need pgrep nft conntrack conntrackd; inRoom room_kernelCopied; }
