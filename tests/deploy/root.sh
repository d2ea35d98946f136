# SPDX-License-Identifier: MIT
#
# A root of Debian 12 that debootstrap makes, to be sourced by what installs something in it. It is in $WORK/root.
# shellcheck shell=bash

readonly mirror=http://deb.debian.org/debian
readonly root=$WORK/root

# Within the root, without the settings of this machine.
inRoot() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }

# aptIn ARGUMENT...: apt-get in the root; packages come from the cache where they are there.
aptIn() {
  mkdir -p "$cache/archives/partial"
  inRoot apt-get -y --no-install-recommends -o APT::Sandbox::User=root -o Dir::Cache::archives=/archives \
    -o Debug::NoLocking=1 "$@" >"$WORK/apt.log" 2>&1 || fail "apt-get $*: $(tail -n 20 "$WORK/apt.log")"
}

# Everything in the root but what the kernel, dpkg, apt, adduser and the C library keep for themselves.
listRoot() {
  (cd "$root" && find . -path ./proc -prune -o -path ./archives -prune -o -path ./var/lib/dpkg -prune \
    -o -path ./var/lib/apt -prune -o -path ./var/cache -prune -o -path ./var/log -prune -o -path ./etc/ld.so.cache \
    -o -path ./packages -prune -o -path ./run/adduser -o -path './etc/*-' -o -print | sort)
}

# withRoot STEP: runs it where it may mount; its mounts vanish with it.
withRoot() {
  need debootstrap unshare ip curl
  needRoot
  unshare --mount true 2>/dev/null || skip "mount namespaces may not be made here"
  MOUNTS_VANISH=true within "unshare --mount" "$1"
}

mountRoot() {
  [ -n "${MOUNTS_VANISH:-}" ] || fail "mounts would stay: this is for steps that withRoot runs"
  mkdir -p "$root/proc" "$root/archives" "$cache/archives/partial"
  mount -t proc proc "$root/proc"
  mount --bind "$cache/archives" "$root/archives"
}

# debianRoot: makes one once, for all scripts; it is in $debian_root, and nobody changes it.
debianRoot() {
  debian_root=$cache/bookworm
  [ ! -d "$debian_root" ] || return 0
  need debootstrap
  mkdir -p "$cache"
  rm -rf "$debian_root.making"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$debian_root.making" "$mirror" \
    >"$WORK/debootstrap.log" 2>&1 || skip "debootstrap cannot make a root here: $(tail -n 1 "$WORK/debootstrap.log")"
  mv "$debian_root.making" "$debian_root"
}

# A root with nothing of ours.
freshRoot() {
  debianRoot
  rm -rf --one-file-system "$root"
  cp -a "$debian_root" "$root"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  echo "127.0.0.1 localhost" >"$root/etc/hosts"
  mountRoot
  aptIn update
}

