# SPDX-License-Identifier: MIT
#
# The package lemonade-lb under a real systemd, in the machine that systemd.sh makes: what its scripts ask of systemd.
# shellcheck shell=bash

# shellcheck source=systemd.sh
source "$SOURCE/tests/deploy/systemd.sh"

readonly packages=$SOURCE/build/package
readonly lb=lemonade-lb_${VERSION}_$(dpkg --print-architecture).deb

# dpkgIn ARGUMENT...: dpkg of the machine, which knows no package of this one.
dpkgIn() {
  inMachine env DEBIAN_FRONTEND=noninteractive dpkg --force-depends --force-confold "$@" >"$WORK/dpkg.log" 2>&1 ||
    fail "dpkg $*: $(cat "$WORK/dpkg.log")"
}

# repackaged VERSION: the package as of that version, otherwise alike.
repackaged() {
  rm -rf "$WORK/repacked"
  dpkg-deb -R "$packages/$lb" "$WORK/repacked"
  sed -i "s/^Version: .*/Version: $1/" "$WORK/repacked/DEBIAN/control"
  dpkg-deb -b --root-owner-group "$WORK/repacked" "$WORK/etc/packages/next.deb" >/dev/null
}

asksOfSystemd() {
  local main process
  needSystemd
  need dpkg-deb
  [ -f "$packages/$lb" ] || skip "$lb was not built"
  configure ""
  mkdir -p "$WORK/etc/packages"
  cp "$packages/$lb" "$WORK/etc/packages/first.deb"
  repackaged "$VERSION+next"
  boot
  inMachine sh -c 'sed -i /lemonade/d /etc/passwd /etc/group; mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates
                   touch /var/lib/dpkg/status; rm /usr/lib/systemd/system/lemonade-lb.service
                   rm -f /usr/sbin/policy-rc.d  # by which containers forbid packages to start and stop anything'
  dpkgIn -i /etc/packages/first.deb
  is ActiveState inactive || fail "installing it started it"
  [ "$(inMachine systemctl is-enabled "$unit")" = disabled ] || fail "installing it enabled it"
  inMachine systemctl enable --now "$unit" || fail "it does not start"
  served || fail "it was started, and does not serve"
  main=$(property MainPID)
  process=$(balancer)
  # Clients ask without a pause while it is upgraded.
  inMachine sh -c 'while [ ! -e /tmp/enough ]; do
    curl -sS -m 5 -o /dev/null -w "%{http_code}\n" http://127.0.0.1:8080/work; done' >"$WORK/clients" 2>&1 &
  local clients=$!
  children+=($clients)
  dpkgIn -i /etc/packages/next.deb
  shows "$WORK/dpkg.log" "the running balancer was upgraded"
  eventually 30 answered 100
  inMachine touch /tmp/enough
  wait $clients
  if grep -vx 200 "$WORK/clients"; then fail "the clients above failed while it was upgraded"; fi
  is MainPID "$main" || fail "systemd follows another process, $(property MainPID), not $main"
  is NRestarts 0 || fail "it was restarted"
  [ "$(balancer)" != "$process" ] || fail "the balancer from before still serves"
  served || fail "nobody serves after the upgrade"
  dpkgIn --purge lemonade-lb
  is ActiveState inactive || [ -z "$(property ActiveState)" ] || fail "it runs on: $(property ActiveState)"
  if served; then fail "somebody serves although it was removed"; fi
  if inMachine getent passwd lemonade; then fail "the user is left"; fi
  if inMachine sh -c 'ls -d /run/lemonade /var/log/lemonade /etc/lemonade/production.toml' 2>/dev/null; then
    fail "purging it left the folders and files above"
  fi
}

# answered N: so many requests were.
answered() { [ "$(grep -c 200 "$WORK/clients")" -ge "$1" ]; }

# The process that serves, which the supervisor has started.
balancer() { inMachine pgrep -P "$(property MainPID)" -x lemonade | tail -n 1; }
