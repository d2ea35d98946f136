# SPDX-License-Identifier: MIT
"""What a program takes, told by itself.

A command is a dict of name, aliases, text, options, positionals, commands and footer, as --describe-command-line of the
programs prints it (host/base/command_description.cpp)."""
import json
import re
import subprocess

HELP = {"names": ["-h", "--help"], "text": "Print this help message and exit", "value": "", "repeated": False}


def of_program(path):
    command = json.loads(subprocess.run([path, "--describe-command-line"], check=True, capture_output=True).stdout)
    for each in (command, *command["commands"]):
        for option in each["options"]:
            put_range_into_words(option)
    return command


def put_range_into_words(option):
    """CLI11 has "SECONDS:FLOAT in [0.1 - 3600]" for the value of an option with a range."""
    option["value"], _, kind = option["value"].partition(":")
    if found := re.search(r" in \[(\S+) - (\S+)\]", kind):
        option["text"] += f"; {found[1]} to {found[2]}"


def of_script(name, path):
    """A shell script says in its --help what it does, then, indented, how it is called, then what else there is to
    know. Called names it as in the sources; installed it is called name."""
    said = subprocess.run([path, "--help"], check=True, capture_output=True, text=True).stdout
    calls = re.findall(r"^  \S+(.*)$", said, re.MULTILINE)
    before, _, after = said.partition("\n\n  ")
    after = "\n\n".join(after.split("\n\n")[1:])
    flags = sorted({flag for call in calls for flag in re.findall(r"--[a-z-]+", call)} - {"--help"})
    words = [call.split()[0] for call in calls if re.match(r" +[a-z]", call)]
    return {
        "name": name, "aliases": [], "commands": [], "footer": after,
        "text": re.split(r"[.:](?:\s|$)", " ".join(before.split()))[0], "about": before,
        "calls": [name + call for call in calls],
        "options": [HELP] + [{"names": [flag], "text": "", "value": "", "repeated": False} for flag in flags],
        "positionals": [{"name": "|".join(dict.fromkeys(words)), "text": "", "required": True, "repeated": False}]
                       if words else [],
    }


def words_of(positional):
    """The words that a positional is one of: none of FILE, three of a|b|c."""
    return positional["name"].split("|") if re.fullmatch(r"[a-z_-]+(\|[a-z_-]+)*", positional["name"]) else []
