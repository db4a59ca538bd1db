"""The little Markdown that cards and documents are made of."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; a bar inside a cell is escaped, as it would end it, and so is a line break."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def bullets(items: Sequence[str]) -> str:
    """Return a list; nothing for no items."""
    return "\n".join(f"- {' '.join(item.split())}" for item in items)


def code(text: str | None) -> str:
    """Return text in code type; ``n/a`` for None."""
    return f"`{text}`" if text else "n/a"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
