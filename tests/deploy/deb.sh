# SPDX-License-Identifier: MIT
#
# The life of the Debian packages, in a root of their own: built, installed, used, upgraded, purged.
# shellcheck shell=bash

# shellcheck source=root.sh
source "$SOURCE/tests/deploy/root.sh"

readonly packages=$SOURCE/build/package
readonly lb=lemonade-lb_${VERSION}_$(dpkg --print-architecture).deb
readonly dev=lemonade-plugin-dev_${VERSION}_$(dpkg --print-architecture).deb
readonly newer=$VERSION+next newest=$VERSION+next+broken
readonly plugins=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null)/lemonade/plugins
readonly configuration=$root/etc/lemonade/production.toml

# The packages are built with what tools/setup installs, but for a compiler, which is there anyway, and for what only
# tests and commands need.
buildWithTheSame() {
  local setup control
  setup=$(sed -n '/^build_packages=(/,/)/p' "$SOURCE/tools/setup" | tr -d '()' | sed 's/build_packages=//' | tr -s ' ' '\n' |
    grep -vxE '|g\+\+|catch2|curl' | sort)
  control=$(sed -n '/^Build-Depends:/,/^$/p' "$SOURCE/debian/control" | sed 's/Build-Depends://; s/([^)]*)//g' |
    tr -d ', ' | grep -vxE '|debhelper-compat' | sort)
  diff <(echo "$setup") <(echo "$control") || fail "tools/setup (<) and debian/control (>) differ"
}

# Builds them, which says what lintian finds.
buildsPackages() {
  need dpkg-buildpackage dh lintian
  "$SOURCE/tools/package" --check || fail "$(tail -n 30 "$packages/log")"
  local name
  for name in "$lb" "$dev"; do [ -f "$packages/$name" ] || fail "there is no $name"; done
}

# What is in them: every plugin of the build, the configuration as conffile, and nothing of this machine.
holdWhatIsMeant() {
  need dpkg-deb
  [ -f "$packages/$lb" ] || skip "$lb was not built"
  local list=$WORK/list unpacked=$WORK/unpacked plugin page path
  rm -rf "$unpacked"
  dpkg-deb -x "$packages/$lb" "$unpacked"
  dpkg-deb -x "$packages/$dev" "$unpacked"
  (cd "$unpacked" && find . -type f -o -type l) >"$list"
  for plugin in "$BUILD/$LIBDIR"/lemonade/plugins/*.so; do shows "$list" "/lemonade/plugins/$(basename "$plugin")"; done
  for page in lemonade lemonade-lb lemonade-load-balancer lemonade-worker plugin-validate lemonade-backup \
              lemonade-new-plugin; do
    shows "$list" "/usr/share/man/man1/$page.1.gz"
  done
  for path in /usr/share/man/man5/lemonade.toml.5.gz /usr/share/bash-completion/completions/lemonade \
              /usr/share/zsh/vendor-completions/_lemonade /usr/share/fish/vendor_completions.d/lemonade.fish \
              /usr/include/lemonade/plugin.h /usr/share/lemonade/plugin-template/first.cpp \
              /usr/share/lemonade/sysctl.d/60-lemonade.conf /usr/share/lemonade/limits.d/lemonade.conf \
              /usr/share/lemonade/sysctl.d/61-lemonade-forwarding.conf \
              /usr/share/lemonade/modules-load.d/lemonade-forwarding.conf \
              /usr/share/lemonade/systemd/kernel-forwarding.conf /usr/share/lemonade/systemd/kernel-exchanges.conf \
              /usr/share/lemonade/prometheus/prometheus.yml /usr/share/lemonade/prometheus/lemonade.rules.yml \
              /usr/share/lemonade/grafana/lemonade.json; do
    shows "$list" "$path"
  done
  [ "$(dpkg-deb -I "$packages/$lb" conffiles)" = /etc/lemonade/production.toml ] || fail "other conffiles than meant"
  dpkg-deb -f "$packages/$lb" Depends | grep -q libpoconet80 || fail "the libraries are not among what it depends on"
  if grep -rlF "$SOURCE" "$unpacked"; then fail "the files above name a folder of this machine"; fi
}

rootWithPackages() {
  freshRoot
  mkdir "$root/packages"
  cp "$packages/$lb" "$packages/$dev" "$root/packages"
}

livesAndLeaves() { [ -f "$packages/$lb" ] || skip "$lb was not built"; withRoot inner_livesAndLeaves; }

inner_livesAndLeaves() {
  local before=$WORK/before
  rootWithPackages
  # Its libraries belong to the machine, not to it.
  aptIn install adduser curl libpocofoundation80 libpoconet80 libpocojson80 libtomlplusplus3 liburing2 libc-ares2 \
    libcurl4 libmnl0 libnetfilter-queue1 libnetfilter-conntrack3 libnftnl11 libnftables1 libbpf1
  listRoot >"$before"
  inRoot getent passwd >"$WORK/users"
  aptIn install "/packages/$lb"
  [ "$(stat -c %a:%u "$configuration")" = 640:0 ] || fail "the configuration has mode $(stat -c %a:%u "$configuration")"
  [ "$(inRoot stat -c %G /etc/lemonade/production.toml)" = lemonade ] || fail "it is not the group's"
  inRoot getent passwd lemonade | grep -q ':/usr/sbin/nologin$' || fail "lemonade may log in"
  inRoot lemonade --version | grep -qF "lemonade $VERSION" || fail "another version is installed"
  inRoot lemonade load-balancer --config /etc/lemonade/production.toml --validate
  inRoot plugin-validate describe "$plugins/round_robin.so" | grep -q round_robin
  within "unshare --net" inner_upgradesUnderLoad
  inRoot dpkg --remove lemonade-lb >/dev/null
  [ -f "$configuration" ] || fail "removing it removed the configuration"
  inRoot dpkg --purge lemonade-lb >"$WORK/purge.log" 2>&1 || fail "$(cat "$WORK/purge.log")"
  if grep -i warning "$WORK/purge.log"; then fail "purging it warns"; fi
  diff "$before" <(listRoot) || fail "purging it left or took the files above"
  inRoot getent passwd | diff "$WORK/users" - || fail "purging it left or took the users above"
}

# repack VERSION [FILE]: the package as of that version, otherwise alike, or with FILE as the balancer.
repack() {
  local folder=$WORK/repacked
  rm -rf "$folder"
  dpkg-deb -R "$packages/$lb" "$folder"
  sed -i "s/^Version: .*/Version: $1/" "$folder/DEBIAN/control"
  [ -z "${2:-}" ] || install -m 755 "$2" "$folder/usr/bin/lemonade"
  dpkg-deb -b --root-owner-group "$folder" "$root/packages/$1.deb" >/dev/null
}

# upgradeTo VERSION: what it said is in $WORK/upgrade.log.
upgradeTo() {
  inRoot dpkg -i "/packages/$1.deb" >"$WORK/upgrade.log" 2>&1 || fail "$(cat "$WORK/upgrade.log")"
  [ "$(inRoot dpkg-query -W -f '${Version}' lemonade-lb)" = "$1" ] || fail "it was not upgraded"
  cmp "$configuration" "$WORK/mine.toml" || fail "the upgrade changed the configuration"
  [ "$(inRoot stat -c '%a %U:%G' /etc/lemonade/production.toml)" = "640 root:lemonade" ] || fail "or its mode"
}

# Stands in for systemd, which runs in no such root: says that the unit is active, and writes down what it is asked.
standInForSystemd() {
  mkdir -p "$root/run/systemd/system"
  install -m 755 /dev/stdin "$root/usr/bin/systemctl" <<'END'
#!/bin/sh
echo "$*" >>/run/asked
END
}

# In a network of its own, where the ports of the shipped configuration are free.
inner_upgradesUnderLoad() {
  local clients client asked=0
  ip link set lo up
  startWorker "$WORK/worker.log" behind
  # The shipped configuration, with a backend of this network in place of the three that are examples.
  sed -i "s/10\.0\.1\.1[012]:8080/$worker/" "$configuration"
  cp "$configuration" "$WORK/mine.toml"
  start "$WORK/balancer.log" chroot "$root" setpriv --reuid=lemonade --regid=lemonade --init-groups \
    lemonade load-balancer --config /etc/lemonade/production.toml
  eventually 20 curl -fso "$WORK/answer" http://127.0.0.1:9090/readyz
  curl -fso "$WORK/answer" http://127.0.0.1:8080/health || fail "$(cat "$WORK/balancer.log")"
  shows "$WORK/answer" '"worker":"behind"'
  curl -fso "$WORK/metrics" http://127.0.0.1:9090/metrics
  shows "$WORK/metrics" lemonade_build_info
  standInForSystemd
  repack "$newer"
  repack "$newest" /bin/false
  rm -f "$WORK/enough" "$WORK"/clients.*
  for client in 1 2 3; do
    (while [ ! -e "$WORK/enough" ]; do
       curl -sS -o /dev/null -w '%{http_code}\n' http://127.0.0.1:8080/health 2>&1
     done >"$WORK/clients.$client") &
    clients+=" $!"
    children+=($!)
  done
  upgradeTo "$newer"
  shows "$WORK/upgrade.log" "the running balancer was upgraded"
  if grep restart "$root/run/asked"; then fail "it was restarted"; fi
  # Some more, of the new one.
  for ((client = 0; client < 50; ++client)); do curl -sS -o /dev/null http://127.0.0.1:8080/health; done
  touch "$WORK/enough"
  # shellcheck disable=SC2086
  wait $clients || true
  asked=$(cat "$WORK"/clients.* | wc -l)
  [ "$asked" -gt 100 ] || fail "there were only $asked requests"
  if grep -vx 200 "$WORK"/clients.*; then fail "of $asked requests those above failed while it was upgraded"; fi
  echo "$asked requests were answered while it was upgraded"
  upgradeTo "$newest"
  shows "$WORK/upgrade.log" "restarting it"
  shows "$root/run/asked" "restart lemonade-lb.service"
  rm -r "$root/run/systemd" "$root/usr/bin/systemctl" "$root/run/asked"
}

pluginIsBuilt() { [ -f "$packages/$dev" ] || skip "$dev was not built"; withRoot inner_pluginIsBuilt; }

# What a stranger does who has both packages.
inner_pluginIsBuilt() {
  rootWithPackages
  aptIn install "/packages/$lb" "/packages/$dev" cmake g++ ninja-build pkg-config
  inRoot sh -ec '
    mkdir /tmp/stranger && cd /tmp/stranger
    lemonade-new-plugin strategy my_strategy
    cmake -S my_strategy -B build -G Ninja >/dev/null
    cmake --build build
    plugin-validate build/my_strategy.so
    printf "strategy.algorithm = \"com.example.my_strategy\"\n[[backends]]\nid = 0\naddress = \"127.0.0.1:1\"\n" >c.toml
    lemonade lb --config c.toml --plugin-dir build --validate
    cmake --install build
    lemonade lb --config c.toml --validate
    cp -r /usr/share/lemonade/plugin-template template
    g++ -std=c++20 -O2 template/first.cpp -o first.so $(pkg-config --cflags lemonade-plugin) \
      $(pkg-config --variable=pluginflags lemonade-plugin)
    plugin-validate describe first.so' >"$WORK/stranger.log" 2>&1 || fail "$(tail -n 40 "$WORK/stranger.log")"
  [ -f "$root$plugins/my_strategy.so" ] || fail "it was installed elsewhere"
}
