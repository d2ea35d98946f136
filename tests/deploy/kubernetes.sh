# SPDX-License-Identifier: MIT
#
# The manifests, as kubectl puts them together: held to the schemas of Kubernetes, to each other and to the balancer
# that they configure. There is no cluster here.
# shellcheck shell=bash

readonly manifests=$SOURCE/config/kubernetes here=$SOURCE/tests/deploy/kubernetes

# made FOLDER: what kubectl makes of it, in $WORK/made.yaml. Versions before 1.21 know no overlays of this form.
made() {
  need kubectl
  kubectl kustomize "$manifests/$1" >"$WORK/made.yaml" 2>"$WORK/kubectl.log" && return
  grep -q "must be a file" "$WORK/kubectl.log" && skip "kubectl 1.21 or newer is needed to put overlays together"
  fail "$(cat "$WORK/kubectl.log")"
}

# fits FOLDER [OVERLAY]
fits() {
  python3 -c 'import yaml' 2>/dev/null || skip "python3-yaml is not installed (tools/setup --deploy installs it)"
  made "$1"
  "$here/fits.py" "$WORK/made.yaml" "$SOURCE/config/docker/Dockerfile" "$WORK/config.toml" "${@:2}" ||
    fail "$1 does not fit"
  "$lemonade" lb --config "$WORK/config.toml" --validate || fail "the configuration in $1 is refused"
}

baseFits() { fits base; }
overlaysFit() {
  fits overlays/production overlay
  fits overlays/plugins overlay
  fits overlays/kernel-forwarding overlay
}

# schemas: what npm has of Kubernetes, in $modules; downloaded once.
schemas() {
  modules=$cache/kubernetes-models-4
  [ ! -d "$modules" ] || return 0
  need npm node
  npm install --silent --no-audit --no-fund --prefix "$modules.making" kubernetes-models@4 \
    @kubernetes-models/prometheus-operator@4 yaml@2 typescript@5 >"$WORK/npm.log" 2>&1 ||
    skip "npm cannot install the schemas of Kubernetes here: $(tail -n 1 "$WORK/npm.log")"
  mv "$modules.making" "$modules"
}

sound() { node "$here/sound.cjs" "$modules" "$1"; }

matchSchemas() {
  local folder
  schemas
  for folder in base overlays/production overlays/plugins overlays/kernel-forwarding; do
    made "$folder"
    sound "$WORK/made.yaml" || fail "$folder is not what Kubernetes takes"
  done
}

# findsMistake SCRIPT: one that sed makes is found.
findsMistake() {
  sed "$1" "$WORK/made.yaml" >"$WORK/doctored.yaml"
  cmp --silent "$WORK/made.yaml" "$WORK/doctored.yaml" && fail "$1 changes nothing"
  if sound "$WORK/doctored.yaml" >/dev/null; then fail "not found: $1"; fi
}

mistakesAreFound() {
  schemas
  made base
  findsMistake 's/failureThreshold: 1/failureThreshold: one/'
  findsMistake 's/periodSeconds: 10/perodSeconds: 10/'
  findsMistake 's/maxUnavailable: 1/maxUnavailabel: 1/'
}
