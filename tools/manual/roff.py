# SPDX-License-Identifier: MIT
"""Manual pages in the language of man(7)."""
import re


def escape(text):
    """Text as roff shows it: no character of it is a command."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def bold(text):
    return f"\\fB{escape(text)}\\fR"


def italic(text):
    return f"\\fI{escape(text)}\\fR"


def section(title, body):
    return f".SH {title.upper()}\n{body.strip()}\n" if body.strip() else ""


def entry(term, body):
    """A term, which is roff already, with its indented explanation."""
    return f".TP\n{term}\n{body.strip()}\n"


def literal(text):
    return f".PP\n.RS 4\n.EX\n{escape(text.rstrip())}\n.EE\n.RE\n"


def page(name, number, release, summary, body):
    """release is what changelog.newest says; summary is one line of text."""
    heading = f'.TH "{name.upper() if number == 1 else name}" {number} "{release.date}" "Lemonade {release.version}"\n'
    return heading + section("name", f"{escape(name)} \\- {escape(summary)}") + body
