"""Reading Markdown as far as the documentation of the pack uses it."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Column titles, and rows of as many cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def columns(self, titles):
        """The rows, but of these columns only."""
        places = [self.head.index(title) for title in titles]
        return {tuple(row[place] for place in places) for row in self.rows}


def title(text):
    """The heading of the whole page."""
    return text.split("\n", 1)[0].removeprefix("# ")


def sections(text):
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def tables(text):
    """The tables of a text, in order."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [Table(rows[0], rows[2:]) for rows in map(_rows, found)]


def _rows(table):
    lines = table.strip().split("\n")
    return tuple(tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines)


def links(text):
    """Where links and pictures lead."""
    return re.findall(r"\]\(([^)\s]+)", text) + re.findall(r"(?<!\()\bhttps?://[^\s)>]+", text)


def quoted(text):
    """What stands in back quotes."""
    return re.findall(r"`([^`\n]+)`", text)
