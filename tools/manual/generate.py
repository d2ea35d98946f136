#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the manual pages and the shell completions of what is built:

    generate.py OUT --source ROOT --program PATH... --script NAME=PATH...

OUT/man holds the pages, compressed, OUT/bash, OUT/zsh and OUT/fish the completions. Commands are described by the
programs themselves, the configuration by docs/configuration.md, which a test holds to the keys that the host knows."""
import argparse
import gzip
import pathlib
import shutil

import changelog
import command_pages
import completions
import markdown_page
import programs


def write_page(folder, name, text):
    path = folder / f"man{name[-1]}" / f"{name}.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def write_completions(out, command):
    name = command["name"]
    made = {f"bash/{name}": completions.bash, f"zsh/_{name}": completions.zsh, f"fish/{name}.fish": completions.fish}
    for path, make in made.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(make(command), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--script", nargs="*", default=[])
    arguments = parser.parse_args()
    release = changelog.releases(arguments.source / "CHANGELOG.md")[0]
    shutil.rmtree(arguments.out, ignore_errors=True)
    man = arguments.out / "man"
    commands = [programs.of_program(path) for path in arguments.program]
    for command in commands:
        for name, text in command_pages.command_pages(command, release).items():
            write_page(man, name, text)
        write_completions(arguments.out, command)
    for script in arguments.script:
        name, _, path = script.partition("=")
        command = programs.of_script(name, path)
        write_page(man, f"{name}.1", command_pages.script_page(command, release, [("lemonade", 1)]))
        write_completions(arguments.out, command)
    configuration = (arguments.source / "docs/configuration.md").read_text(encoding="utf-8")
    see_also = command_pages.see_also([(command["name"], 1) for command in commands])
    write_page(man, "lemonade.toml.5", markdown_page.manual_page(
        "lemonade.toml", 5, release, "configuration of the Lemonade load balancer", configuration, see_also))


if __name__ == "__main__":
    main()
