#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The steps of the package tests, one function each; CMakeLists.txt sets SOURCE, BUILD, WORK, LIBDIR and the tools.
set -euo pipefail

readonly prefix="$WORK/moved prefix"  # a space, for what forgets its quotes
readonly lemonade="$prefix/bin/lemonade"
export PKG_CONFIG_PATH=

fail() { echo "$*" >&2; exit 1; }

# loads KIND ID ARGUMENT...: the installed balancer makes an instance of this plugin.
loads() {
  local key id=$2 config="$WORK/$2.toml"
  case $1 in
    strategy) key="strategy.algorithm = \"$id\"" ;;
    health_checker) key="health.checker = \"$id\"" ;;
    metrics_sink) key="metrics.sinks = [\"$id\"]" ;;
  esac
  shift 2
  printf '%s\n[[backends]]\nid = 0\naddress = "127.0.0.1:1"\n' "$key" >"$config"
  "$lemonade" lb --config "$config" --validate "$@"
}

exportsOnlyTheEntry() {
  local symbols
  symbols=$(nm --dynamic --defined-only --format=posix "$1" | cut -d' ' -f1)
  [ "$symbols" = lemonade_plugin_v1 ] || fail "$1 exports: $symbols"
}

# configureAndBuild SOURCE_DIR BUILD_DIR
configureAndBuild() {
  "$CMAKE" -S "$1" -B "$2" -G Ninja "-DCMAKE_PREFIX_PATH=$prefix" && "$CMAKE" --build "$2"
}

# buildsAndJudges FOLDER NAME: a project builds without a warning, and its own tests, which judge NAME.so, pass.
buildsAndJudges() {
  local strict="-Wall -Wextra -Werror"
  CFLAGS=$strict CXXFLAGS=$strict configureAndBuild "$1" "$1/build"
  exportsOnlyTheEntry "$1/build/$2.so"
  # A sanitized plugin-validate judges nothing: its heap and signals are the sanitizer's.
  [ -n "$SANITIZE" ] || "$(dirname "$CMAKE")/ctest" --test-dir "$1/build" --no-tests=error --output-on-failure
}

installs() {
  rm -rf "$WORK"
  mkdir -p "$WORK"
  "$CMAKE" --install "$BUILD" --prefix "$WORK/prefix" >"$WORK/install.log"
  mv "$WORK/prefix" "$prefix"
  "$lemonade" --version
  # A unit of systemd has to say where its program is.
  if grep -rIlF --exclude-dir=systemd -e "$WORK/prefix" -e "$SOURCE" -e "$BUILD" "$prefix/$LIBDIR" "$prefix/include" "$prefix/share"; then
    fail "the files above name a folder of the build"
  fi
}

findsItsPlugins() {
  local plugin
  loads strategy round_robin
  for plugin in "$prefix/$LIBDIR"/lemonade/plugins/*.so; do exportsOnlyTheEntry "$plugin"; done
  if loads strategy com.example.absent; then fail "accepted a strategy that is not there"; fi
}

shipsValidConfigurations() {
  local config found=0
  for config in "$prefix"/etc/lemonade/*.toml; do
    "$lemonade" lb --config "$config" --validate
    found=$((found + 1))
  done
  [ $found -gt 0 ] || fail "no configuration was installed"
}

buildsTemplate() {
  local plugins="$prefix/$LIBDIR/lemonade/plugins"
  cp -r "$prefix/share/lemonade/plugin-template" "$WORK/template"
  buildsAndJudges "$WORK/template" first
  loads strategy com.example.first --plugin-dir "$WORK/template/build"
  "$CMAKE" --install "$WORK/template/build"
  loads strategy com.example.first
  rm "$plugins/first.so"
}

buildsByPkgConfig() {
  export PKG_CONFIG_PATH="$prefix/$LIBDIR/pkgconfig"
  # pkg-config escapes the space of the prefix for a shell, hence eval.
  eval "cd $(pkg-config --variable=plugindir lemonade-plugin)"
  [ "$PWD" -ef "$prefix/$LIBDIR/lemonade/plugins" ] || fail "plugindir is $PWD, not the installed plugins' folder"
  mkdir "$WORK/by_hand"
  eval "$CXX -std=c++20 -O2 '$SOURCE/plugin-api/template/first.cpp' -o '$WORK/by_hand/first.so'" \
    "$(pkg-config --cflags lemonade-plugin) $(pkg-config --variable=pluginflags lemonade-plugin)"
  exportsOnlyTheEntry "$WORK/by_hand/first.so"
  loads strategy com.example.first --plugin-dir "$WORK/by_hand"
}

# example NAME KIND: one of them, alone as a stranger's project.
example() {
  buildsAndJudges "$WORK/examples/$1" "$1"
  loads "$2" "com.example.$1" --plugin-dir "$WORK/examples/$1/build"
}

buildsExamples() {
  cp -r "$prefix/share/lemonade/examples" "$WORK/examples"
  [ "$(cd "$WORK/examples" && echo */)" = "fill_first/ maglev/ read_write/ redis_ping/ rendezvous/" ] || fail "there are others"
  example fill_first strategy
  example maglev strategy
  example read_write strategy
  example redis_ping health_checker
  if grep -q '^CMAKE_CXX_COMPILER' "$WORK/examples/fill_first/build/CMakeCache.txt"; then
    fail "the example in C needs a C++ compiler"
  fi
}

# Beside each other, as they are installed: the example names the crate by its path.
buildsRustExample() {
  local plugin="$WORK/in rust/examples/rendezvous/target/release/librendezvous.so" bin=/usr/bin
  [ -x /usr/bin/cargo ] || bin=$(dirname "$(command -v cargo || echo /)")
  [ -x "$bin/cargo" ] && [ -z "$SANITIZE" ] || { echo "there is no cargo, or this is a sanitizer's build"; exit 77; }
  mkdir "$WORK/in rust"
  cp -r "$prefix/share/lemonade/rust" "$prefix/share/lemonade/examples" "$WORK/in rust"
  (cd "$WORK/in rust/examples/rendezvous" &&
    PATH="$bin:$PATH" CARGO_HOME="$WORK/in rust/home" cargo build --quiet --release --offline --locked)
  chmod go-w "$plugin"
  exportsOnlyTheEntry "$plugin"
  "$prefix/bin/plugin-validate" "$plugin"
  loads strategy com.example.rendezvous --plugin-dir "$(dirname "$plugin")"
}

# Installed and in the checkout alike, new-plugin makes a project that builds, is sound, and is loaded.
makesNewPlugins() {
  local kind arguments
  mkdir "$WORK/new" "$WORK/same"
  cd "$WORK/new"
  for kind in strategy health_checker metrics_sink; do
    [ "$("$prefix/bin/lemonade-new-plugin" "$kind" "my_$kind")" = "my_$kind" ] || fail "it does not say what it made"
    (cd "$WORK/same" && "$SOURCE/tools/new-plugin" "$kind" "my_$kind")
    diff -r "my_$kind" "$WORK/same/my_$kind"
    buildsAndJudges "$WORK/new/my_$kind" "my_$kind"
    loads "$kind" "com.example.my_$kind" --plugin-dir "my_$kind/build"
  done
  for arguments in "strategy my_strategy" "strategy Not-Snake" "gadget x" ""; do
    # shellcheck disable=SC2086
    if "$prefix/bin/lemonade-new-plugin" $arguments 2>/dev/null; then fail "it took: $arguments"; fi
  done
}

# Of what lemonade_add_plugin promises, what only the file shows; and what it must not link.
hardens() {
  local plugin=$WORK/hard/build/first.so
  cp -r "$prefix/share/lemonade/plugin-template" "$WORK/hard"
  # What C++ makes unique to the process where nobody forbids it.
  printf 'inline int& shared() { static int value; return value; }\nint& used = shared();\n' >>"$WORK/hard/first.cpp"
  configureAndBuild "$WORK/hard" "$WORK/hard/build"
  readelf --dynamic --wide "$plugin" | grep -Eq 'BIND_NOW|FLAGS.* NOW' || fail "it is bound late"
  readelf --segments --wide "$plugin" | grep -q GNU_RELRO || fail "its relocations stay writable"
  if readelf --syms --wide "$plugin" | grep ' UNIQUE '; then fail "it has GNU-unique symbols"; fi
  exportsOnlyTheEntry "$plugin"
  printf 'extern "C" int nobodyHasThis();\nint asked = nobodyHasThis();\n' >>"$WORK/hard/first.cpp"
  if configureAndBuild "$WORK/hard" "$WORK/hard/build" >"$WORK/hard.log" 2>&1; then
    fail "a plugin that needs a symbol nobody defines was linked"
  fi
  grep -q 'undefined reference to .nobodyHasThis' "$WORK/hard.log" || fail "$(cat "$WORK/hard.log")"
}

# What is there is 1.1: another major version, or a later minor one, is not found.
refusesOtherVersions() {
  local version
  mkdir "$WORK/other"
  for version in 0.9 1.9 2.0; do
    printf 'cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES NONE)\n%s\n' \
      "find_package(LemonadePlugin $version REQUIRED)" >"$WORK/other/CMakeLists.txt"
    if configureAndBuild "$WORK/other" "$WORK/other/build" 2>"$WORK/other.log"; then fail "found version $version"; fi
    grep -q 'version: 1\.' "$WORK/other.log" || fail "$(cat "$WORK/other.log")"
  done
}

configuresPlainly() {
  "$CMAKE" -S "$SOURCE" -B "$WORK/plain" -G Ninja
  grep -q '^CMAKE_BUILD_TYPE:.*=Release$' "$WORK/plain/CMakeCache.txt" || fail "the default is no release build"
}

"$1"
