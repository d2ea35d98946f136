#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The steps of the package tests, one function each; CMakeLists.txt sets SOURCE, BUILD, WORK, LIBDIR and the tools.
set -euo pipefail

readonly prefix="$WORK/moved prefix"  # a space, for what forgets its quotes
readonly lemonade="$prefix/bin/lemonade"
export PKG_CONFIG_PATH=

fail() { echo "$*" >&2; exit 1; }

# validates ID ARGUMENT...: the installed balancer accepts a configuration with this strategy.
validates() {
  local id=$1 config="$WORK/$1.toml"; shift
  printf 'strategy = "%s"\n[[backends]]\nid = 0\naddress = "127.0.0.1:1"\n' "$id" >"$config"
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

installs() {
  rm -rf "$WORK"
  mkdir -p "$WORK"
  "$CMAKE" --install "$BUILD" --prefix "$WORK/prefix" >"$WORK/install.log"
  mv "$WORK/prefix" "$prefix"
  "$lemonade" --version
  if grep -rIlF -e "$WORK/prefix" -e "$SOURCE" -e "$BUILD" "$prefix/$LIBDIR" "$prefix/include" "$prefix/share"; then
    fail "the files above name a folder of the build"
  fi
}

findsItsPlugins() {
  local plugin
  validates round_robin
  for plugin in "$prefix/$LIBDIR"/lemonade/plugins/*.so; do exportsOnlyTheEntry "$plugin"; done
  if validates com.example.absent; then fail "accepted a strategy that is not there"; fi
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
  configureAndBuild "$WORK/template" "$WORK/template/build"
  exportsOnlyTheEntry "$WORK/template/build/first.so"
  "$(dirname "$CMAKE")/ctest" --test-dir "$WORK/template/build" --no-tests=error --output-on-failure
  validates com.example.first --plugin-dir "$WORK/template/build"
  "$CMAKE" --install "$WORK/template/build"
  validates com.example.first
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
  validates com.example.first --plugin-dir "$WORK/by_hand"
}

buildsPlainC() {
  mkdir "$WORK/plain_c"
  cp "$SOURCE/tests/package/last.c" "$WORK/plain_c/"
  cat >"$WORK/plain_c/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(last LANGUAGES C)
find_package(LemonadePlugin 1.0 REQUIRED)
lemonade_add_plugin(last last.c)
END
  configureAndBuild "$WORK/plain_c" "$WORK/plain_c/build"
  exportsOnlyTheEntry "$WORK/plain_c/build/last.so"
  validates com.example.last --plugin-dir "$WORK/plain_c/build"
}

refusesOtherMajor() {
  mkdir "$WORK/other_major"
  printf 'cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES CXX)\nfind_package(LemonadePlugin 2.0 REQUIRED)\n' \
    >"$WORK/other_major/CMakeLists.txt"
  if configureAndBuild "$WORK/other_major" "$WORK/other_major/build" 2>"$WORK/other_major.log"; then
    fail "found version 2.0"
  fi
  grep -q 'version: 1\.' "$WORK/other_major.log" || fail "$(cat "$WORK/other_major.log")"
}

configuresPlainly() {
  "$CMAKE" -S "$SOURCE" -B "$WORK/plain" -G Ninja
  grep -q '^CMAKE_BUILD_TYPE:.*=Release$' "$WORK/plain/CMakeCache.txt" || fail "the default is no release build"
}

"$1"
