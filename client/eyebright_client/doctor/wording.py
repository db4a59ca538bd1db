"""Words for people: what a level means, and names without underscores."""

from __future__ import annotations

HEADLINES = {
    "ok": "In order: this data can be used",
    "info": "In order: this data can be used",
    "warn": "Usable, with warnings that somebody should look at",
    "stop": "Refused: this data would harm a round until it is corrected",
}
LEVEL_WORDS = {"ok": "in order", "info": "to know", "warn": "warning", "stop": "refused"}


def plain(name: str) -> str:
    """Return an identifier as words: ``file_missing`` is ``file missing``."""
    return name.replace("_", " ").replace(":", ": ")
