# SPDX-License-Identifier: MIT
"""Manual pages of commands, from what the programs say of themselves (see programs.py)."""
import re

import roff

# What a footer's lines begin with, and the section of a page that is for it.
SECTIONS = {"Environment": "environment", "Signals": "signals", "Exit codes": "exit status", "Statuses": "statuses"}


def sentence(text):
    return roff.escape(text if text.endswith(".") else text + ".")


def summary(text):
    """As whatis(1) lists it: no sentence, and not beginning with what it is the summary of."""
    text = re.sub(r"^Lemonade, ", "", text)
    return text[0].lower() + text[1:]


def positional_text(positional):
    text = roff.italic(positional["name"]) + (" ..." if positional["repeated"] else "")
    return text if positional["required"] else f"[{text}]"


def call(path, command):
    parts = [roff.bold(path)]
    if command["options"]:
        parts.append(f"[{roff.italic('OPTION')} ...]")
    parts += [positional_text(positional) for positional in command["positionals"]]
    return " ".join(parts)


def option_entries(command):
    entries = []
    for option in command["options"]:
        names = ", ".join(roff.bold(name) for name in option["names"])
        value = f" {roff.italic(option['value'])}" if option["value"] else ""
        entries.append(roff.entry(names + value, sentence(option["text"])))
    return "".join(entries)


def footer_sections(footer):
    """The lines of a footer with a label have sections of their own."""
    text = ""
    for line in footer.splitlines():
        label, _, rest = line.partition(": ")
        if label == "Exit codes":
            codes = re.findall(r"(\d+) (.*?)(?=, \d+ |\.?$)", rest)
            entries = [roff.entry(roff.bold(code), roff.escape(meaning)) for code, meaning in codes]
            text += roff.section("exit status", "".join(entries))
        elif label in SECTIONS:
            text += roff.section(SECTIONS[label], roff.escape(rest))
        else:
            text += roff.escape(line) + "\n"
    return text


def see_also(names):
    return roff.section("see also", ",\n".join(f"{roff.bold(name)}({number})" for name, number in names))


def command_page(path, command, release, others):
    """path is how it is typed, such as "lemonade worker"; others are (name, section) of pages to look at."""
    calls = [call(path, command)] + [call(f"{path} {sub['name']}", sub) for sub in command["commands"]]
    about = sentence(command["text"])
    if command["aliases"]:
        parent = path.rsplit(" ", 1)[0]
        short = " and ".join(roff.bold(f"{parent} {alias}") for alias in command["aliases"])
        about += f"\n{short} is the same."
    entries = [roff.entry(roff.bold(sub["name"]), sentence(sub["text"])) for sub in command["commands"]]
    body = (roff.section("synopsis", "\n.br\n".join(calls)) + roff.section("description", about) +
            roff.section("commands", "".join(entries)) + roff.section("options", option_entries(command)) +
            footer_sections(command["footer"]) + see_also(others))
    return roff.page(path.replace(" ", "-"), 1, release, summary(command["text"]), body)


def script_page(command, release, others):
    """The page of a shell script, whose --help is prose."""
    body = (roff.section("synopsis", "\n.br\n".join(roff.escape(line) for line in command["calls"])) +
            roff.section("description", roff.escape(command["about"]) + "\n.PP\n" + roff.escape(command["footer"])) +
            see_also(others))
    return roff.page(command["name"], 1, release, summary(command["text"]), body)


def command_pages(command, release):
    """{file name: text} of a program: a page for it, and one for each of its commands that takes options."""
    name = command["name"]
    apart = [sub for sub in command["commands"] if len(sub["options"]) > 1]
    pages = [(f"{name}-{sub['name']}", 1) for sub in apart]
    configuration = [("lemonade.toml", 5)] if apart else [("lemonade", 1)]
    found = {f"{name}.1": command_page(name, command, release, pages + configuration)}
    for sub in apart:
        others = [(name, 1)] + [page for page in pages if page[0] != f"{name}-{sub['name']}"] + configuration
        found[f"{name}-{sub['name']}.1"] = command_page(f"{name} {sub['name']}", sub, release, others)
        for alias in sub["aliases"]:
            found[f"{name}-{alias}.1"] = f".so man1/{name}-{sub['name']}.1\n"
    return found
