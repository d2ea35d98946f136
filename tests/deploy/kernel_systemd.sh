# SPDX-License-Identifier: MIT
#
# The unit of the balancer with the drop-in by which the kernel forwards for it, under the real systemd of systemd.sh.
# The machine has a client and a backend beside it, which are network namespaces:
#
#   client 10.77.1.2 -- 10.77.1.1 the machine 10.77.2.1 -- 10.77.2.2 far, with the workers far-8000 and far-8001
# shellcheck shell=bash

# shellcheck source=systemd.sh
source "$SOURCE/tests/deploy/systemd.sh"

readonly drop_in=$SOURCE/config/systemd/kernel-forwarding.conf
readonly settings=$SOURCE/config/sysctl.d/61-lemonade-forwarding.conf

# listener FORWARD [PORT]: the lines of a listener that forwards to the worker at that port.
listener() {
  printf '[[listeners]]\nname = "web"\naddress = "10.77.1.1:8000"\npool = "web"\nforward = "%s"\n' "$1"
  printf '[pools.web]\nbackends = "10.77.2.2:%s"\n' "${2:-8000}"
}

# bootBetween LINES: the machine, with these on top of the configuration, and those beside it.
bootBetween() {
  needSystemd
  need nft conntrack python3
  configure "$1"
  mkdir -p "$WORK/etc/systemd/system"
  cat >"$WORK/etc/systemd/system/far@.service" <<'END'
[Service]
ExecStart=ip netns exec far lemonade worker --address 10.77.2.2:%i --name far-%i
END
  shift
  "$@"
  boot
  inMachine sh -ec '
    beside() {
      ip netns add $1
      ip link add $1 type veth peer name eth0 netns $1
      ip address add $2.1/24 dev $1
      ip link set $1 up
      ip -n $1 address add $2.2/24 dev eth0
      ip -n $1 link set eth0 up
    }
    beside client 10.77.1
    beside far 10.77.2
    systemctl start far@8000 far@8001'
  # There are no modules in the machine: what they would bring, the kernel has.
  inMachine ln -sf /bin/true /usr/local/bin/modprobe
}

# fromClient COMMAND...: runs it in the network of the client, with the files of this machine.
fromClient() { nsenter "--net=/proc/$init/root/run/netns/client" "$@"; }
# servedBy WORKER: the client has an answer of this one.
servedBy() { [[ $(fromClient curl -sf -m 5 http://10.77.1.1:8000/work) == *"\"$1\""* ]]; }
hasTable() { inMachine nft list tables | grep -qx 'table inet lemonade'; }
# forwarded: the connections that the kernel forwards for it, a line each.
forwarded() { inMachine conntrack -L --mark 0x4c4d0000/0xffff0000 2>/dev/null; }

# forwards: the table leads the listener's clients to a worker.
forwards() { inMachine nft list map inet lemonade entrances4 2>/dev/null | grep -q '10.77.1.1 . 8000'; }

# countsBytes: of backends of the listener.
countsBytes() {
  inMachine curl -sf -m 5 http://127.0.0.1:9090/metrics |
    grep -q '^lemonade_backend_bytes_total{.*pool="web".* [1-9]'
}

# timesExchanges: with the backend of the listener.
timesExchanges() {
  inMachine curl -sf -m 5 http://127.0.0.1:9090/metrics |
    grep -q '^lemonade_backend_exchange_seconds_count{.*pool="web".* [1-9]'
}

# What the installation says is for such a machine, before it boots.
hasDropIn() { install -D -m 644 -t "$WORK/etc/systemd/system/lemonade-lb.service.d" "$drop_in"; }
hasBoth() { hasDropIn; install -D -m 644 -t "$WORK/etc/sysctl.d" "$settings"; }

# stays NAME: the client opens a connection, has an answer, and waits; how it ended is in $WORK/NAME.
stays() {
  start "$WORK/$1" nsenter "--net=/proc/$init/root/run/netns/client" python3 -c '
import socket
client = socket.create_connection(("10.77.1.1", 8000), 5)
client.sendall(b"GET /work HTTP/1.1\r\nHost: far\r\n\r\n")
client.recv(65536)
client.settimeout(60)
print("stays", flush=True)
try:
    print("data" if client.recv(65536) else "closed")
except OSError as error:
    print(error)'
  eventually 10 grep -q stays "$WORK/$1"
}

dropInForwards() {
  bootBetween "" true
  inMachine sysctl -q -w net.ipv4.ip_forward=0
  # Without it: a start fails, a reload is refused, and the journal says what is missing.
  inMachine systemctl start lemonade-lb || fail "it does not start"
  rewrite "$(listener kernel)"
  inMachine systemctl reload lemonade-lb || fail "the configuration does not validate"
  eventually 10 journalShows "reload refused"
  served || fail "it does not serve after a reload that was refused"
  if inMachine systemctl restart lemonade-lb; then fail "it starts without a right to forward"; fi
  [[ "$(journal)" =~ "ERROR".*CAP_NET_ADMIN.*AmbientCapabilities ]] || fail "the journal does not say what is missing"
  inMachine systemctl stop lemonade-lb

  guide "Forwarding by the kernel"
  is ActiveState active || fail "it is $(property ActiveState)"
  journalShows "kernel: the kernel forwards" || fail "the kernel does not forward"
  hasTable || fail "there is no table"
  servedBy far-8000 || fail "the client has no answer"
  [ "$(forwarded | wc -l)" -gt 0 ] || fail "it was not the kernel that forwarded"
  served || fail "the listener beside it does not serve"

  rewrite "$(listener kernel 8001)"
  inMachine systemctl reload lemonade-lb || fail "it does not reload"
  eventually 10 servedBy far-8001
  rewrite "$(listener relay)"
  inMachine systemctl reload lemonade-lb || fail "it does not reload"
  eventually 10 servedBy far-8000
  rewrite "$(listener kernel)"
  inMachine systemctl reload lemonade-lb || fail "it does not reload"
  eventually 10 forwards
  stays client
  [ "$(forwarded | grep -c ESTABLISHED)" -eq 1 ] || fail "it was not the kernel that forwarded"
  inMachine systemctl stop lemonade-lb
  is Result success || fail "the stop ended with $(property Result)"
  eventually 5 grep -q "reset by peer" "$WORK/client"  # which takes CAP_NET_RAW
  if hasTable; then fail "the table is still there"; fi
}

withoutSettings() {
  bootBetween "$(listener kernel)" hasDropIn
  inMachine sysctl -q -w net.ipv4.ip_forward=0
  if inMachine systemctl start lemonade-lb; then fail "it starts where the machine forwards nothing"; fi
  journalShows "sysctl -w net.ipv4.ip_forward=1, for good in /etc/sysctl.d/61-lemonade-forwarding.conf" ||
    fail "the journal does not say how the machine forwards"
  inMachine systemctl stop lemonade-lb
  inMachine sysctl -q -w net.ipv4.ip_forward=1
  inMachine systemctl start lemonade-lb || fail "it does not start"
  journalShows "sysctl -w net.netfilter.nf_conntrack_acct=1, for good in /etc/sysctl.d/61-lemonade-forwarding.conf" ||
    fail "the journal does not say how bytes are counted"
  servedBy far-8000 || fail "the client has no answer"
}

# As after a boot, with a table that is kept: a restart refuses nobody, and what it finds is what was sent.
restartsUnderKept() {
  bootBetween "[kernel]"$'\n'"keep = true"$'\n'"$(listener kernel)" hasBoth
  inMachine systemctl start lemonade-lb || fail "it does not start"
  if journalShows " is 0: "; then fail "a setting is missing after a boot"; fi
  stays client
  restartsUnder fromClient python3 -B "$SOURCE/tests/deploy/connects.py" 10.77.1.1 8000 6 20
  if grep -q -v stays "$WORK/client"; then fail "a connection that was open ended: $(cat "$WORK/client")"; fi
  eventually 30 countsBytes
}

exchangesTakeTheirOwn() {
  bootBetween "[kernel]"$'\n'"exchanges = \"on\""$'\n'"$(listener kernel)" hasBoth
  if inMachine systemctl start lemonade-lb; then fail "it starts without a right to time exchanges"; fi
  [[ "$(journal)" =~ "ERROR".*CAP_BPF ]] || fail "the journal does not say what is missing"

  guide "Times of exchanges by the kernel"
  servedBy far-8000 || fail "the client has no answer"
  eventually 10 timesExchanges
  inMachine systemctl stop lemonade-lb
  is Result success || fail "the stop ended with $(property Result)"
}
