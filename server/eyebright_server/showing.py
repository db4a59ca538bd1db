"""How a command shows what it found: JSON for programs, text and tables for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table


def show(as_json: bool, facts: Mapping[str, object] | Sequence[object], *text: str | Table) -> None:
    """Print ``facts`` as one line of JSON, or ``text`` part by part."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    if as_json:
        console.print(json.dumps(facts, allow_nan=False))
        return
    for part in text:
        console.print(part)
