# SPDX-License-Identifier: MIT
"""A page of docs/ as a manual page: the headings, paragraphs, lists, tables and blocks that those pages are made of."""
import re

import roff

INLINE = re.compile(r"`(?P<code>[^`]+)`|\(\[(?P<aside>[^\]]+)\]\((?P<page>[^)#]+)[^)]*\)\)|"
                    r"\[(?P<link>[^\]]+)\]\([^)]*\)|\*\*(?P<strong>[^*]+)\*\*")


def inline(text):
    """A link becomes its text; one in parentheses, which says nothing by itself, names its page."""
    parts, end = [], 0
    for match in INLINE.finditer(text):
        parts.append(roff.escape(text[end:match.start()]))
        if match["aside"]:
            parts.append(f"({inline(match['aside'])}: {roff.escape(match['page'])})")
        elif match["link"]:
            parts.append(inline(match["link"]))
        else:
            parts.append(roff.bold(match["code"] or match["strong"]))
        end = match.end()
    # What begins a line is roff's only when the line begins with it.
    return "".join([*parts, roff.escape(text[end:])])


def cells(row):
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def table(rows):
    """The first column names what the last one explains; those between are put in words, with their headings."""
    headings = cells(rows[0])
    text = ""
    for row in rows[2:]:
        first, *middle, last = cells(row)
        said = [inline(value) if heading == "type" else f"{heading} {inline(value)}"
                for heading, value in zip(headings[1:-1], middle) if value]
        text += roff.entry(inline(first) + (f"  ({', '.join(said)})" if said else ""), inline(last))
    return text


def block(text):
    """One block of the page, which blank lines end."""
    if heading := re.fullmatch(r"(#+) (.*)", text):
        title = heading[2]
        return f".SH {title.upper()}\n" if len(heading[1]) == 2 else f".SS {roff.escape(title)}\n"
    if text.startswith("    "):
        return roff.literal(re.sub(r"^    ", "", text, flags=re.MULTILINE))
    if text.startswith("```"):
        return roff.literal("\n".join(text.splitlines()[1:-1]))
    if text.startswith("|"):
        return table(text.splitlines())
    if text.startswith("* "):
        return "".join(f".IP \\(bu 2\n{inline(item)}\n" for item in re.split(r"^\* ", text, flags=re.MULTILINE)[1:])
    return f".PP\n{inline(text)}\n"


def body(markdown):
    """All of a page but its title. Blank lines end a block, but not within a fence."""
    blocks = re.findall(r"^```.*?^```$|(?:^[^\n]+\n?)+", markdown, re.MULTILINE | re.DOTALL)
    text = ".SH DESCRIPTION\n" + "".join(block(piece.rstrip("\n")) for piece in blocks[1:])
    return re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", text, flags=re.MULTILINE)


def manual_page(name, number, release, summary, markdown, see_also):
    return roff.page(name, number, release, summary, body(markdown) + see_also)
