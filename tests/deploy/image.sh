# SPDX-License-Identifier: MIT
#
# The image: built by buildah from config/docker/Dockerfile upon a root that debootstrap makes, and run by podman as the
# guide says, with the seccomp rules that Debian ships for containers. Podman takes Docker's command line and needs no
# daemon; networks and mounts are those of a room. What the engine stores is in $WORK, and is kept from run to run.
# shellcheck shell=bash

# shellcheck source=root.sh
source "$SOURCE/tests/deploy/root.sh"

export CONTAINERS_STORAGE_CONF=$WORK/storage.conf CONTAINERS_CONF=$WORK/containers.conf TMPDIR=$WORK/tmp
readonly megabyte=1000000

# configureEngine RUNTIME
configureEngine() {
  printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "/run/lemonade-test"\n' "$WORK/storage" \
    >"$CONTAINERS_STORAGE_CONF"
  cat >"$CONTAINERS_CONF" <<END
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=4096:4096"]
[engine]
runtime = "$1"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "$WORK/networks"
END
  mkdir -p "$TMPDIR" "$WORK/networks"
}

# What the engine keeps while it runs vanishes with the mounts of the step.
ownState() { mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /dev/shm; }

# sizeOf IMAGE: in bytes.
sizeOf() { podman image inspect --format '{{.Size}}' "$1"; }

# of FORMAT: what the image says of itself.
of() { podman image inspect --format "$1" lemonade-lb:latest; }

# imports NAME FOLDER: an image with these files.
imports() { tar -C "$2" -c . | podman import - "$1" >/dev/null; }

room_builds() {
  local above
  ownState
  configureEngine runc
  debianRoot
  podman image exists debian:bookworm-slim || imports debian:bookworm-slim "$debian_root"
  cd "$SOURCE"
  buildah build --isolation chroot --network host --format docker --layers=false -t lemonade-lb:latest \
    -f config/docker/Dockerfile . >"$WORK/build.log" 2>&1 || fail "$(tail -n 40 "$WORK/build.log")"
  podman image prune --force >/dev/null
  above=$((($(sizeOf lemonade-lb:latest) - $(sizeOf debian:bookworm-slim)) / megabyte))
  echo "the image is $above MB above its base"
  [ $above -lt 60 ] || fail "that is too much"
  [ "$(of '{{.Config.User}}')" = 10001:10001 ] || fail "its user is $(of '{{.Config.User}}')"
  [ "$(of '{{.Config.Cmd}}')" = "[lemonade load-balancer --config /etc/lemonade/config.toml]" ] ||
    fail "it runs $(of '{{.Config.Cmd}}')"
}

# The network is that of the machine, for apt; files and processes are the room's.
builds() {
  needRoot
  need buildah podman unshare
  debianRoot
  unshare --mount --pid --fork --kill-child --mount-proc bash "$SOURCE/tests/deploy/lib.sh" image.sh room_builds
}

# engine: podman in a room, with what runs containers here.
engine() {
  local runtime
  need podman iptables
  ownState
  ip link set lo up
  for runtime in crun runc; do
    configureEngine $runtime
    if podman run --rm --network none debian:bookworm-slim true >"$WORK/engine.log" 2>&1; then return; fi
  done
  skip "neither crun nor runc runs a container here: $(tail -n 1 "$WORK/engine.log")"
}

removeContainers() { podman pod rm --all --force --time 0; podman rm --all --force --time 0; } >/dev/null 2>&1

needImage() { [ -d "$WORK/storage" ] || skip "the image was not built"; }

# compose ARGUMENT...: images are there already.
compose() {
  local argument arguments=()
  for argument in "$@"; do [ "$argument" = --build ] || arguments+=("$argument"); done
  podman-compose "${arguments[@]}"
}

# docker ARGUMENT...: as the guide calls it. The folder of the configuration is the test's, and limits are those that
# the engine was configured with, as no more may be had here.
docker() {
  local argument arguments=()
  if [ "$1" = compose ]; then shift; compose "$@"; return; fi
  for argument in "$@"; do
    case $argument in
      --ulimit | nofile=*) ;;
      --read-only) arguments+=(--read-only --read-only-tmpfs=false) ;;  # of podman's own accord, /tmp may be written
      /etc/lemonade:*) arguments+=("$WORK/etc:${argument#*:}") ;;
      *) arguments+=("$argument") ;;
    esac
  done
  podman "${arguments[@]}"
}

# asTold HEADING NUMBER: the NUMBERth block of the guide beneath the heading.
asTold() {
  guideSays "$1" "$2" >"$WORK/told"
  # shellcheck source=/dev/null
  source "$WORK/told"
}

# answers URL
answers() { curl --silent --fail --output /dev/null --max-time 2 "$1"; }

inContainer() { podman exec lemonade-lb bash -c "$1"; }

logSays() { podman logs lemonade-lb >"$WORK/log" 2>&1; shows "$WORK/log" "$1"; }
generationIs() { curl --silent http://localhost:9090/metrics | grep -qx "lemonade_config_generation $1"; }

# configuration BACKEND...: the file the container has, replaced as editors do.
configuration() {
  mkdir -p "$WORK/etc"
  {
    printf 'runtime.config_watch_interval_millis = 100\nadmin.listen_address = "0.0.0.0:9090"\n'
    printf '[[backends]]\nid = "%s"\naddress = "%s"\n' "$@"
  } >"$WORK/etc/config.toml.new"
  mv "$WORK/etc/config.toml.new" "$WORK/etc/config.toml"
}

room_runs() {
  local client
  engine
  atEnd removeContainers
  # The backends are at the machine, as the container's network sees it.
  start "$WORK/slow.log" "$lemonade" worker --address 0.0.0.0:18081 --name slow --delay 1500
  start "$WORK/other.log" "$lemonade" worker --address 0.0.0.0:18082 --name other
  configuration slow host.containers.internal:18081
  asTold Docker 2 >"$WORK/run.log" 2>&1 || fail "$(cat "$WORK/run.log")"
  eventually 10 answers http://localhost:9090/readyz
  curl --silent http://localhost:8080/work | grep -q '"worker":"slow"' || fail "no answer comes through it"
  eventually 10 podman healthcheck run lemonade-lb
  # Who it is, and what it may.
  [ "$(inContainer 'id -u; id -g')" = $'10001\n10001' ] || fail "$(inContainer id)"
  inContainer 'grep -q "^CapEff:.*[^0[:space:]]" /proc/1/status' && fail "it has capabilities"
  inContainer '(touch /file || touch /run/file || touch /tmp/file) 2>/dev/null' && fail "it may write"
  # The command line has its socket.
  inContainer '[ -S /run/lemonade/admin.sock ]' || fail "there is no socket for the command line"
  podman exec lemonade-lb lemonade status | grep -q "default/slow" || fail "lemonade status does not show the backend"
  # A new file is taken.
  configuration other host.containers.internal:18082
  eventually 5 generationIs 2
  curl --silent http://localhost:8080/work | grep -q '"worker":"other"' || fail "the new backend is not used"
  # It drains.
  configuration slow host.containers.internal:18081
  eventually 5 generationIs 3
  curl --silent --max-time 10 http://localhost:8080/work >"$WORK/last" &
  client=$!
  eventually 5 sessionsAre 1
  asTold Docker 3 >/dev/null 2>&1 || fail "its logs and its health are not shown"
  asTold Docker 4 >/dev/null 2>&1
  wait $client || fail "the request was cut off"
  shows "$WORK/last" '"worker":"slow"'
  logSays "app: stopped"
  [ "$(podman inspect --format '{{.State.ExitCode}}' lemonade-lb)" -eq 0 ] || fail "it ended with an error"
}
runs() { needImage; inRoom room_runs; }

sessionsAre() { curl --silent http://localhost:9090/metrics | grep -qx "lemonade_proxy_sessions{listener=\"default\"} $1"; }

# relayWith OPTION...: what the log says of how bytes are moved.
relayWith() {
  podman run --rm --detach --name lemonade-lb --network none --read-only \
    --env LEMONADE_LB_BACKEND_ADDRESSES=127.0.0.1:1 "$@" lemonade-lb:latest >/dev/null 2>&1
  eventually 10 logSaysReady
  podman logs lemonade-lb 2>&1 | grep 'relay chosen' || true
  podman stop --time 5 lemonade-lb >/dev/null 2>&1
}
logSaysReady() { podman logs lemonade-lb 2>&1 | grep -q 'app: ready'; }

room_saysRelay() {
  local said
  engine
  atEnd removeContainers
  said=$(relayWith)
  [[ $said == *'relay=epoll reason="this kernel does not let io_uring be used'* ]] || fail "it says: $said"
  said=$(relayWith --security-opt seccomp=unconfined)
  [[ $said == *relay=io_uring* ]] || skip "io_uring cannot be had here without seccomp rules either: $said"
}
saysRelay() { needImage; inRoom room_saysRelay; }

room_refuses() {
  local code=0
  engine
  podman run --rm --network none lemonade-lb:latest >"$WORK/refused" 2>&1 || code=$?
  [ $code -eq 1 ] || fail "exit code $code: $(cat "$WORK/refused")"
  shows "$WORK/refused" LEMONADE_LB_BACKEND_ADDRESSES
}
refusesNoBackends() { needImage; inRoom room_refuses; }

# The image of Prometheus that compose.yaml names, made of Debian's Prometheus: no registry is asked.
prometheusImage() {
  local name
  name=$(sed -n 's/^ *image: \(prom\/.*\)/\1/p' "$SOURCE/config/docker/compose.yaml")
  if podman image exists "docker.io/$name"; then return; fi
  mkdir -p "$WORK/prometheus"
  cp "$(command -v prometheus)" "$WORK/prometheus/prometheus"
  cat >"$WORK/prometheus/Dockerfile" <<'END'
FROM debian:bookworm-slim
COPY prometheus /bin/prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
END
  buildah build --isolation chroot -t "docker.io/$name" "$WORK/prometheus" >"$WORK/prometheus.log" 2>&1 ||
    fail "$(cat "$WORK/prometheus.log")"
}

everyWorkerAnswers() {
  [ "$(curl --silent 'http://localhost:8080/work#[1-20]' --header 'Connection: close' | grep -oE '"worker-[123]"' |
    sort -u | wc -l)" -eq 3 ]
}
prometheusHas() {
  curl --silent --max-time 2 "http://localhost:9091/api/v1/query?query=$1" | grep -qF "$2"
}

room_composes() {
  need podman-compose buildah prometheus
  engine
  prometheusImage
  rm -rf "$WORK/checkout"
  mkdir -p "$WORK/checkout/config"
  cp -r "$SOURCE/config/docker" "$WORK/checkout/config"
  cd "$WORK/checkout"
  atEnd removeContainers
  asTold "Docker Compose" 1 >"$WORK/compose.log" 2>&1 || fail "$(cat "$WORK/compose.log")"
  eventually 20 answers http://localhost:9090/readyz
  eventually 20 everyWorkerAnswers
  eventually 20 prometheusHas 'sum(lemonade_backend_up)' '"3"'
  asTold "Docker Compose" 2 >"$WORK/asked" 2>&1
  shows "$WORK/asked" '"worker":"worker-'
  shows "$WORK/asked" '"__name__":"lemonade_backend_up"'
  # The balancer is replaced, and the configuration of the folder is its own again.
  asTold "Docker Compose" 3 >"$WORK/compose.log" 2>&1 || fail "$(cat "$WORK/compose.log")"
  eventually 20 answers http://localhost:9090/readyz
  # A worker goes.
  podman stop --time 2 docker_worker-2_1 >/dev/null 2>&1
  eventually 20 prometheusHas 'sum(lemonade_backend_up)' '"2"'
  # What compose is told of the configuration takes effect without a restart.
  sed -i 's/^algorithm = .*/algorithm = "round_robin"/' config/docker/compose/lemonade/config.toml
  eventually 10 statusSays '"id": "round_robin"'
}
composes() { needImage; inRoom room_composes; }

statusSays() { curl --silent http://localhost:9090/api/v1/status | grep -qF "$1"; }
composeFileIsSound() {
  need docker-compose promtool
  docker-compose -f "$SOURCE/config/docker/compose.yaml" config --quiet || fail "compose.yaml is refused"
  promtool check config "$SOURCE/config/docker/compose/prometheus.yml" || fail "prometheus.yml is refused"
}

# The image of plugins that the guide shows, with one that stands before the balancer's own of that name.
pluginsImage() {
  mkdir -p "$WORK/plugins"
  guideSays Kubernetes 1 dockerfile >"$WORK/plugins/Dockerfile"
  cp "$BUILD"/lib*/lemonade/plugins/adaptive.so "$WORK/plugins"
  buildah build --isolation chroot -t lemonade-plugins:latest "$WORK/plugins" >"$WORK/plugins.log" 2>&1 ||
    fail "$(cat "$WORK/plugins.log")"
}

# Podman plays a Deployment with its ConfigMap, as one pod, and leaves out the other kinds.
room_playsPod() {
  need buildah kubectl catatonit
  engine
  pluginsImage
  kubectl kustomize "$SOURCE/config/kubernetes/overlays/plugins" >"$WORK/pod.yaml" ||
    skip "kubectl 1.21 or newer is needed to put overlays together"
  # Left alone, podman 4.3 removes an init container that has ended, and fails where it is not quite gone.
  sed -i '/^kind: Deployment$/{n;s/$/\n  annotations: {io.podman.annotations.init.container.type: always}/}' \
    "$WORK/pod.yaml"
  atEnd removeContainers
  podman network exists kube || podman network create kube >/dev/null
  podman run --detach --name backend --network kube lemonade-lb:latest \
    lemonade worker --address 0.0.0.0:8080 --name pod-backend >"$WORK/backend.log" 2>&1 ||
    fail "$(cat "$WORK/backend.log")"
  podman play kube --network kube "$WORK/pod.yaml" >"$WORK/played" 2>&1 || fail "$(cat "$WORK/played")"
  eventually 20 answers http://localhost:9090/readyz
  curl --silent http://localhost:8080/work | grep -q '"worker":"pod-backend"' || fail "no answer comes through the pod"
  statusSays '"file": "/plugins/loaded/adaptive.so"' || fail "the plugin of the init container is not used"
}
playsPod() { needImage; inRoom room_playsPod; }
