# SPDX-License-Identifier: MIT
#
# The units in config/systemd under a real systemd: it is process 1 of a machine made of namespaces, with this machine's
# /usr, the installation on top of it, a network of its own and nothing of the outside that can be written.
# shellcheck shell=bash

readonly machine=$WORK/machine
readonly unit=lemonade-lb.service

# ---- the machine ---------------------------------------------------------------------------------------------------

needSystemd() {
  need unshare nsenter systemctl curl ip
  needRoot
  [ -x /lib/systemd/systemd ] || skip "systemd is not installed (tools/setup --deploy installs it)"
  [ -z "$SANITIZE" ] || skip "a sanitizer's build breaks the limits of the unit"
  cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  [ -n "$cgroups" ] || skip "there is no cgroup2 hierarchy"
  mkdir "$cgroups/lemonade-test-$$" 2>/dev/null || skip "no cgroup may be made in $cgroups"
  cgroup=$cgroups/lemonade-test-$$
  atEnd removeCgroup
}

removeCgroup() {
  local end=$((SECONDS + 10))
  while [ -d "$cgroup" ] && [ $SECONDS -lt $end ]; do
    find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null
    sleep 0.1
  done
}

# Inside the namespaces: builds the root of the machine, goes into it and becomes systemd.
inner_boot() {
  trap - EXIT
  local root=$machine name
  mount --make-rprivate /
  mount -t tmpfs -o mode=755 tmpfs "$root"
  mkdir -p "$root"/{usr,upper,work,etc/systemd/system,etc/lemonade,var/log/journal,run,proc,sys,dev,tmp,root,old}
  mount -t overlay -o "lowerdir=/usr,upperdir=$root/upper,workdir=$root/work" overlay "$root/usr"
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
  cp /etc/ld.so.cache /etc/login.defs "$root/etc/"
  # Before the root changes: the build is not in the machine.
  DESTDIR=$root "$CMAKE" --install "$BUILD" --prefix /usr >"$root/install.log"
  DESTDIR=$root "$CMAKE" --install "$BUILD" --prefix /opt/lemonade >>"$root/install.log"
  cp -r "$WORK/etc/." "$root/etc/"
  # There is no sudo in the machine, and none is needed.
  printf '#!/bin/sh\nexec "$@"\n' | install -m 755 /dev/stdin "$root/usr/local/bin/sudo"
  echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
  printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'nobody:x:65534:65534::/:/usr/sbin/nologin' \
    'lemonade:x:990:990::/nonexistent:/usr/sbin/nologin' >"$root/etc/passwd"
  printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' 'lemonade:x:990:' >"$root/etc/group"
  chown root:990 "$root/etc/lemonade/production.toml"
  chmod 640 "$root/etc/lemonade/production.toml"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
  done
  ln -s /proc/self/fd "$root/dev/fd"
  mkdir "$root/dev/shm" "$root/dev/pts"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  ip link set lo up
  cd "$root"
  pivot_root . old
  umount -l old
  exec env -i container=test PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=test.target --show-status=no --log-target=journal
}

# boot: starts the machine; $WORK/etc/ is copied over its /etc. Process 1 is $init.
boot() {
  mkdir -p "$machine" "$WORK/etc/systemd/system"
  cat >"$WORK/etc/systemd/system/test.target" <<'END'
[Unit]
Requires=systemd-journald.service basic.target
After=systemd-journald.service basic.target
AllowIsolate=yes
END
  cat >"$WORK/etc/systemd/system/worker@.service" <<'END'
[Service]
ExecStart=/usr/bin/lemonade worker --address 127.0.0.1:%i --name worker-%i
END
  # Not by start: unshare takes no SIGTERM, and everything ends with process 1.
  (
    echo "$BASHPID" >"$cgroup/cgroup.procs"
    exec unshare --mount --pid --fork --cgroup --uts --ipc --net --kill-child \
      bash "$SOURCE/tests/deploy/lib.sh" systemd.sh inner_boot
  ) >"$WORK/boot.log" 2>&1 </dev/null &
  local unshare=$!
  disown
  atEnd kill -KILL "$unshare"
  eventually 10 pgrep -P "$unshare" >/dev/null
  init=$(pgrep -P "$unshare")
  eventually 60 isUp
  inMachine systemctl start worker@8081 worker@8082
}

isUp() { inMachine systemctl is-active test.target >"$WORK/up" 2>&1; }

# inMachine COMMAND...: runs it in the machine.
inMachine() { nsenter --target "$init" --mount --pid --cgroup --uts --ipc --net -- "$@" </dev/null; }

# configure TEXT: the configuration of the machine before it boots: two workers, and this on top.
configure() {
  rm -rf "$WORK/etc"
  mkdir -p "$WORK/etc/lemonade"
  configuration "$1" >"$WORK/etc/lemonade/production.toml"
}

configuration() {
  cat <<END
[runtime]
drain_timeout_millis = 2000
config_watch_interval_millis = 3600000
[proxy]
listen_address = "127.0.0.1:8080"
max_connections = 100000
[admin]
listen_address = "127.0.0.1:9090"
[health]
interval = "200ms"
[[backends]]
id = 1
address = "127.0.0.1:8081"
[[backends]]
id = 2
address = "127.0.0.1:8082"
$1
END
}

# rewrite TEXT: the configuration of the running machine.
rewrite() { configuration "$1" | nsenter --target "$init" --mount -- sh -c 'cat >/etc/lemonade/production.toml'; }

# property NAME: of the service, as systemd knows it.
property() { inMachine systemctl show --property "$1" --value "$unit"; }
is() { [ "$(property "$1")" = "$2" ]; }
journal() { inMachine journalctl --no-pager --output cat -u "$unit"; }
journalShows() { [[ "$(journal)" == *"$1"* ]]; }
served() { inMachine curl -sf -m 5 -o /dev/null http://127.0.0.1:8080/work; }

# childOf PID: its child that serves, which is the newest.
childOf() { inMachine pgrep -n -P "$1"; }

# Prints what the machine knows when a step fails.
explain() {
  inMachine systemctl status --no-pager --full "$unit" || true
  inMachine journalctl --no-pager -n 60 || true
} >&2

fail() {
  echo "failed: $*" >&2
  [ -z "${init:-}" ] || explain
  exit 1
}

# ---- what is shown -------------------------------------------------------------------------------------------------

verifies() {
  need systemd-analyze
  local root=$WORK/root said
  rm -rf "$root"
  DESTDIR=$root "$CMAKE" --install "$BUILD" --prefix /usr >"$WORK/install.log"
  install -D -m 644 -t "$root/etc/systemd/system/$unit.d" "$root/usr/share/lemonade/systemd/kernel-forwarding.conf"
  # Beside the units of systemd that they name, and the programs that they run.
  mkdir -p "$root/bin"
  cp /bin/kill "$root/bin/"
  cp -rn /lib/systemd/system "$root/usr/lib/systemd/"
  systemd-analyze verify --man=no --root="$root" "$root"/usr/lib/systemd/system/lemonade* >"$WORK/said" 2>&1 ||
    fail "$(cat "$WORK/said")"
  said=$(grep lemonade "$WORK/said" || true)
  [ -z "$said" ] || fail "$said"
}

isHardened() {
  need systemd-analyze
  systemd-analyze security --offline=true --threshold=19 --no-pager "$SOURCE/config/systemd/$unit" >"$WORK/said" ||
    fail "$(tail -n 1 "$WORK/said")"
  tail -n 1 "$WORK/said"
}

installsOwnPaths() {
  local root=$WORK/opt
  rm -rf "$root"
  DESTDIR=$root "$CMAKE" --install "$BUILD" --prefix /opt/lemonade >"$WORK/install.log"
  local file=$root/opt/lemonade/lib/systemd/system/$unit
  shows "$file" "ExecStart=/opt/lemonade/bin/lemonade load-balancer --config /etc/lemonade/production.toml"
  if grep -q /usr/bin "$file"; then fail "it still has /usr/bin"; fi
}

startsReloadsStops() {
  needSystemd
  configure ""
  boot
  inMachine systemctl start lemonade-lb || fail "it does not start"
  served || fail "it was started, and does not serve"
  inMachine systemctl status --no-pager lemonade-lb >"$WORK/status"
  shows "$WORK/status" "Active: active (running)"
  shows "$WORK/status" 'Status: "2 of 2 backends eligible, '
  journal >"$WORK/journal"
  shows "$WORK/journal" "relay=io_uring"
  inMachine journalctl --no-pager -t lemonade-lb -n 1 >"$WORK/tagged"
  shows "$WORK/tagged" "lemonade-lb["

  # /run of the machine lets nothing be executed, but for this folder.
  inMachine cat "/proc/$(childOf "$(property MainPID)")/maps" >"$WORK/maps"
  shows "$WORK/maps" " /run/lemonade/"

  rewrite "[strategy]
algorithm = \"least_connections\""
  inMachine systemctl reload lemonade-lb || fail "a good configuration was refused"
  eventually 10 journalShows "config: reloaded reason=SIGHUP generation=2"
  eventually 10 is StatusText "2 of 2 backends eligible, 0 sessions; last reload (SIGHUP) applied, generation 2"
  rewrite "[strategy]
algorithm = \"no_such\""
  if inMachine systemctl reload lemonade-lb 2>"$WORK/refused"; then fail "a broken configuration was taken"; fi
  is ActiveState active || fail "it is $(property ActiveState) after a reload that was refused"
  served || fail "it does not serve after a reload that was refused"
  journalShows "production.toml:" || fail "the journal does not say what is wrong"

  rewrite ""
  inMachine systemctl stop lemonade-lb
  is ActiveState inactive || fail "it is $(property ActiveState)"
  is Result success || fail "the stop ended with $(property Result)"
}

restarts() { [ "$(property NRestarts)" -ge "$1" ] && is ActiveState active; }

restartsWhatDies() {
  needSystemd
  configure ""
  boot
  inMachine systemctl start lemonade-lb || fail "it does not start"
  inMachine systemctl kill --signal=KILL lemonade-lb
  eventually 20 restarts 1
  served || fail "it was restarted, and does not serve"

  # The balancer itself ends on SIGTERM with 0, and is wanted all the same.
  inMachine systemctl kill --signal=TERM lemonade-lb
  eventually 20 restarts 2
  served || fail "it was restarted, and does not serve"
}

givesUp() { is ActiveState failed; }

# A configuration that does not validate: the start fails at once, and before long nothing is tried any more.
refusesBrokenConfiguration() {
  needSystemd
  configure "nonsense = 1"
  boot
  if inMachine systemctl start lemonade-lb; then fail "it starts with a broken configuration"; fi
  journalShows "production.toml:" || fail "the journal does not say what is wrong"
  eventually 60 givesUp
  inMachine systemctl reset-failed lemonade-lb
  rewrite ""
  inMachine systemctl start lemonade-lb || fail "it does not start with the configuration mended"
  served || fail "it does not serve"

  # What the balancer itself finds at its start is not tried again at all.
  inMachine mkdir -p /run/systemd/system/lemonade-lb.service.d
  printf '[Service]\nExecStartPre=\n' | nsenter --target "$init" --mount -- \
    sh -c 'cat >/run/systemd/system/lemonade-lb.service.d/no-check.conf'
  inMachine systemctl daemon-reload
  rewrite "nonsense = 1"
  if inMachine systemctl restart lemonade-lb; then fail "it starts with a broken configuration"; fi
  eventually 10 givesUp
  is ExecMainStatus 1 || fail "it exits with $(property ExecMainStatus)"
  is NRestarts 0 || fail "it was tried again $(property NRestarts) times"
}

# A strategy whose picks hang: one worker stands still, its name is in the journal, and systemd restarts the balancer.
watchdogRestarts() {
  needSystemd
  local plugin=$BUILD/tests/bad_plugins/plugins/hang_in_pick.so
  [ -e "$plugin" ] || fail "$plugin is not built"
  configure '[strategy]
algorithm = "com.example.misfit"
[plugins]
directories = ["/etc/lemonade/plugins"]'
  install -D -m 644 "$plugin" "$WORK/etc/lemonade/plugins/misfit.so"
  mkdir -p "$WORK/etc/systemd/system/lemonade-lb.service.d"
  # Without the check, which would not let such a plugin in.
  printf '[Service]\nExecStartPre=\nWatchdogSec=2\n' >"$WORK/etc/systemd/system/lemonade-lb.service.d/override.conf"
  boot
  inMachine systemctl start lemonade-lb || fail "it does not start"
  sleep 4
  is NRestarts 0 || fail "it was restarted while everything moved"
  inMachine curl -s -m 1 -o /dev/null http://127.0.0.1:8080/ || true
  eventually 20 restarts 1
  journalShows "a thread stands still" || fail "the journal does not say what stands still"
  [[ "$(journal)" =~ "stands still".*thread=worker-[0-9] ]] || fail "the journal does not name the worker"
  journalShows "Watchdog timeout (limit 2s)!" || fail "it was not the watchdog"
}

# clients PORT SECONDS: connects again and again, from the network of the machine, and waits up to 20 s for an answer.
clients() {
  nsenter --target "$init" --net -- python3 -B "$SOURCE/tests/deploy/connects.py" 127.0.0.1 "$1" "$2" 20
}

# restartsUnder COMMAND...: twice, while clients come by that command and none fails.
restartsUnder() {
  local before met
  "$@" >"$WORK/met" &
  met=$!
  for _ in 1 2; do
    sleep 1.5
    before=$(property MainPID)
    inMachine systemctl restart lemonade-lb || fail "it does not restart"
    [ "$(property MainPID)" != "$before" ] || fail "it is the same process"
  done
  wait "$met"
  cat "$WORK/met"
  shows "$WORK/met" " failed=0 "
}

# restartsUnderLoad PORT
restartsUnderLoad() {
  restartsUnder clients "$1" 6
  [[ "$(journal)" != *"stopping at once"* ]] || fail "it was told twice to stop"
}

keepsSocketsOverRestarts() {
  needSystemd
  need python3
  configure ""
  boot
  inMachine systemctl start lemonade-lb || fail "it does not start"
  eventually 10 is NFileDescriptorStore 2
  restartsUnderLoad 8080
  is NFileDescriptorStore 2 || fail "$(property NFileDescriptorStore) sockets are kept, not 2"
  # A listener that is configured no more is kept no more, and another one instead.
  inMachine sed -i s/127.0.0.1:8080/127.0.0.1:8088/ /etc/lemonade/production.toml
  inMachine systemctl reload lemonade-lb || fail "it does not take another listener"
  eventually 10 inMachine curl -sf -m 5 -o /dev/null http://127.0.0.1:8088/work
  is NFileDescriptorStore 2 || fail "$(property NFileDescriptorStore) sockets are kept, not 2"
  if served; then fail "the listener before still serves"; fi
  inMachine sed -i s/127.0.0.1:8088/127.0.0.1:8080/ /etc/lemonade/production.toml
  inMachine systemctl restart lemonade-lb || fail "it does not restart"
  eventually 10 is NFileDescriptorStore 2
  served || fail "it does not serve"
  if inMachine curl -s -m 5 http://127.0.0.1:8088/; then fail "the listener before still serves"; fi
}

# An upgrade replaces the balancer under its supervisor: for systemd it is the same service, which is watched on.
upgradesUnderLoad() {
  needSystemd
  need python3
  configure ""
  mkdir -p "$WORK/etc/systemd/system/lemonade-lb.service.d"
  printf '[Service]\nWatchdogSec=2\n' >"$WORK/etc/systemd/system/lemonade-lb.service.d/override.conf"
  boot
  inMachine systemctl start lemonade-lb || fail "it does not start"
  local main met before
  main=$(property MainPID)
  clients 8080 8 >"$WORK/met" &
  met=$!
  for _ in 1 2 3; do
    before=$(childOf "$main")
    inMachine lemonade upgrade --config /etc/lemonade/production.toml || fail "it does not upgrade"
    [ "$(childOf "$main")" != "$before" ] || fail "the same process serves"
    sleep 1.5
  done
  wait "$met"
  cat "$WORK/met"
  shows "$WORK/met" " failed=0 "
  is MainPID "$main" || fail "the main process is another"
  is NRestarts 0 || fail "it was restarted"
  is NFileDescriptorStore 2 || fail "$(property NFileDescriptorStore) sockets are kept, not 2"
  eventually 10 is StatusText "2 of 2 backends eligible, 0 sessions"

  # What watches the one that serves now, too.
  inMachine sh -c "kill -STOP $(childOf "$main")"
  eventually 20 restarts 1
  journalShows "Watchdog timeout (limit 2s)!" || fail "it was not the watchdog"
  served || fail "it was restarted, and does not serve"
}

# systemd holds the socket, of a port that the balancer may not have, from before it runs.
socketActivates() {
  needSystemd
  need python3
  configure ""
  sed -i 's/127.0.0.1:8080/127.0.0.1:80/' "$WORK/etc/lemonade/production.toml"
  mkdir -p "$WORK/etc/systemd/system/lemonade.socket.d"
  printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:80\n' >"$WORK/etc/systemd/system/lemonade.socket.d/port.conf"
  boot
  inMachine systemctl start lemonade.socket || fail "the socket does not listen"
  is ActiveState inactive || fail "the balancer runs before anybody came"
  inMachine curl -sf -m 20 -o /dev/null http://127.0.0.1:80/work || fail "the first client was not served"
  is ActiveState active || fail "it is $(property ActiveState)"
  restartsUnderLoad 80
  journal >"$WORK/journal"
  if grep "closed a socket" "$WORK/journal"; then fail "it was handed something for nothing"; fi
  inMachine systemctl stop lemonade.socket lemonade-lb
}

# guide SECTION: what docs/deployment.md says to type there, word for word, in the machine.
guide() {
  guideSays "$1" |
    nsenter --target "$init" --mount --pid --cgroup --uts --ipc --net -- \
      env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c 'cd /root && cat >commands && bash -e commands' \
      >"$WORK/said" 2>&1 || fail "'$1': $(cat "$WORK/said")"
}

commandsOfGuide() {
  needSystemd
  need python3
  configure ""
  mkdir -p "$WORK/etc/of-source"
  mv "$WORK/etc/lemonade/production.toml" "$WORK/etc/of-source/"
  configuration "" >"$WORK/etc/lemonade/production.toml"
  # As in the shipped configuration.
  sed -i 's/127.0.0.1:8080/0.0.0.0:8080/' "$WORK/etc/of-source/production.toml"
  configuration "" | sed 's/127.0.0.1:8080/127.0.0.1:80/' >"$WORK/etc/lemonade/edge.toml"
  boot
  inMachine sh -c 'cp /etc/of-source/production.toml /root/; chown root:lemonade /etc/lemonade/edge.toml;
                   chmod 640 /etc/lemonade/edge.toml; sed -i /lemonade/d /etc/passwd /etc/group'
  guide systemd
  guide "Running it with systemd"
  shows "$WORK/said" 'Status: "2 of 2 backends eligible, '
  is FragmentPath /etc/systemd/system/lemonade-lb.service || fail "another unit was used: $(property FragmentPath)"
  is ActiveState inactive || fail "it is $(property ActiveState) after the stop"
  guide "Sockets that stay"
  inMachine curl -sf -m 5 -o /dev/null http://127.0.0.1:80/work || fail "nobody serves on the port that systemd holds"
  inMachine systemctl disable --now lemonade.socket lemonade-lb
  guide "Changing the unit"
  inMachine chown root:lemonade /etc/lemonade/edge.toml
  inMachine systemctl start lemonade-lb || fail "it does not start with what the guide changes"
  inMachine curl -sf -m 5 -o /dev/null http://127.0.0.1:80/work || fail "nobody serves on port 80"
  guide "Binary updates"
  inMachine curl -sf -m 5 -o /dev/null http://127.0.0.1:80/work || fail "nobody serves after the update"
}
