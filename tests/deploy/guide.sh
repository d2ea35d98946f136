# SPDX-License-Identifier: MIT
#
# The commands of docs/deployment.md: each section that has some is run word for word in a root of its own, or is named
# here with the script that tries it.
# shellcheck shell=bash

# shellcheck source=root.sh
source "$SOURCE/tests/deploy/root.sh"

readonly configuration=$root/etc/lemonade/production.toml

# Section by section, who tries it: "here" is below.
declare -A tried=(
  ["The Debian packages"]=deb
  ["Configuration"]=here ["Environment"]=here ["Health checks"]=here ["Backup"]=here ["Rollback"]=here
  ["Security"]=here ["Limits"]=here ["Tuning"]=here ["Troubleshooting"]=here
  ["systemd"]=systemd ["Running it with systemd"]=systemd ["Sockets that stay"]=systemd
  ["Changing the unit"]=systemd ["Binary updates"]=systemd
  ["Forwarding by the kernel"]=kernel_systemd ["Times of exchanges by the kernel"]=kernel_systemd
  ["Active-passive"]=failover ["Active-active"]=failover
  ["Docker"]=image ["Docker Compose"]=image ["Kubernetes"]=kubernetes
)

everyCommandIsTried() {
  local section sections
  need python3
  sections=$(guideSays)
  while read -r section; do
    [ -n "${tried[$section]:-}" ] || fail "nothing tries the commands of '$section'"
    [ "${tried[$section]}" = here ] || [ -f "$SOURCE/tests/deploy/${tried[$section]}.sh" ] ||
      fail "there is no ${tried[$section]}.sh, which should try '$section'"
  done <<<"$sections"
  for section in "${!tried[@]}"; do
    grep -qxF "$section" <<<"$sections" || fail "the guide has no '$section' with commands"
  done
}

# run SECTION [SED]: what the section says to type, in the root; SED puts what is true here for what is an example.
run() {
  guideSays "$1" | sed "${2:-}" >"$root/tmp/commands"
  env -i PATH=/opt/lemonade/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 chroot "$root" \
    bash -ec '. /tmp/commands' >"$WORK/said" 2>&1 || fail "'$1': $(cat "$WORK/said")"
}

runsWordForWord() { withRoot inner_runsWordForWord; }

inner_runsWordForWord() {
  need python3
  freshRoot
  aptIn install adduser curl netcat-openbsd procps iproute2 cron \
    libpocofoundation80 libpoconet80 libpocojson80 libtomlplusplus3 liburing2 libc-ares2 libcurl4 libsystemd0 \
    libmnl0 libnetfilter-queue1 libnetfilter-conntrack3 libnftnl11 libnftables1 libbpf1
  "$CMAKE" --install "$BUILD" --prefix "$root/opt/lemonade" >"$WORK/install.log"
  inRoot adduser --system --group --no-create-home --home /nonexistent --quiet lemonade
  # There is no sudo in the root, and none is needed.
  printf '#!/bin/sh\nexec "$@"\n' | install -m 755 /dev/stdin "$root/usr/bin/sudo"
  install -D -m 644 "$SOURCE/config/production.toml" "$configuration"
  # What is of the whole machine stays as it is: nothing but our settings is applied, and those of a network alone.
  rm -f "$root"/usr/lib/sysctl.d/* "$root"/etc/sysctl.d/* "$root/etc/sysctl.conf"
  mount --bind /proc/sys/kernel "$root/proc/sys/kernel"
  mount -o remount,bind,ro "$root/proc/sys/kernel"
  for folder in fs vm; do
    mount --bind "/proc/sys/$folder" "$root/proc/sys/$folder"
    mount -o remount,bind,ro "$root/proc/sys/$folder"
  done
  within "unshare --net" inner_runsSections
}

inner_runsSections() {
  local copy
  ip link set lo up
  startWorker "$WORK/worker.log" behind
  run Configuration
  shows "$WORK/said" "the configuration is valid"
  run Environment
  run Security
  [ "$(inRoot stat -c '%a %U:%G' /etc/lemonade/production.toml)" = "640 root:lemonade" ] || fail "other modes than said"
  run Limits
  shows "$root/etc/security/limits.d/lemonade.conf" "lemonade hard nofile 210000"
  run Tuning
  [ "$(cat /proc/sys/net/core/somaxconn)" = 65535 ] || fail "Tuning set nothing: $(cat "$WORK/said")"
  sed -i "s/10\.0\.1\.1[012]:8080/$worker/" "$configuration"
  start "$WORK/balancer.log" chroot "$root" setpriv --reuid=lemonade --regid=lemonade --init-groups \
    /opt/lemonade/bin/lemonade load-balancer --config /etc/lemonade/production.toml
  eventually 20 curl -fso "$WORK/answer" http://127.0.0.1:9090/readyz
  run "Health checks"
  shows "$WORK/said" lemonade_build_info
  run Troubleshooting
  run Backup
  copy=$(inRoot /opt/lemonade/bin/lemonade-backup list)
  inRoot env PATH=/opt/lemonade/bin:/usr/bin:/bin run-parts --test /etc/cron.daily | grep -q lemonade-backup ||
    fail "cron would not run the backup"
  inRoot /etc/cron.daily/lemonade-backup
  echo "nonsense" >"$configuration"
  run Rollback "s/lemonade-config-[0-9_]*\.toml/${copy##*/}/"
  shows "$configuration" "$worker"
}

# The first of the three ways to install that README.md has; the others are tried by deb.sh and image.sh.
installsFromSource() {
  local prefix=$WORK/opt
  need python3
  rm -rf "$prefix"
  cd "$SOURCE"
  python3 -B tests/deploy/guide_blocks.py README.md "From source" | sed "s#/opt/lemonade#$prefix#g" >"$WORK/commands"
  shows "$WORK/commands" "cmake --install build/release --prefix $prefix"
  bash -e "$WORK/commands" >"$WORK/said" 2>&1 || fail "$(tail -n 20 "$WORK/said")"
  shows "$WORK/said" "the configuration is valid"
}
