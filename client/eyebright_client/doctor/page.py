"""One self-contained page of the shareable findings: no script, no font, no request, no picture.

It is made of the JSON alone, so it can hold nothing that the JSON does not. The same findings give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from eyebright_client.doctor import wording
from eyebright_common.durable import write_bytes
from eyebright_common.release import RESEARCH_NOTICE
from eyebright_common.tasks import get_task


def write_page(shareable: Mapping[str, Any], path: Path) -> None:
    """Write the page durably to ``path``."""
    write_bytes(path, render_page(shareable).encode())


def render_page(shareable: Mapping[str, Any]) -> str:
    """Return the page of ``Diagnosis.shareable`` as HTML."""
    order = ("stop", "warn", "info", "ok")
    findings = sorted(shareable["findings"], key=lambda finding: order.index(finding["level"]))
    return (
        _environment()
        .get_template("preflight.html.j2")
        .render(
            notice=RESEARCH_NOTICE,
            result=shareable,
            task=get_task(shareable["task"]),
            findings=findings,
            headline=wording.HEADLINES[shareable["level"]],
            level_words=wording.LEVEL_WORDS,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("eyebright_client.doctor"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = wording.plain
    environment.filters["numbers"] = _numbers
    return environment


def _numbers(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a finding's numbers as (name, text) rows; a table inside is one row per entry."""
    rows: list[tuple[str, str]] = []
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            rows += [(f"{wording.plain(name)}: {wording.plain(str(key))}", str(count)) for key, count in value.items()]
        elif isinstance(value, (list, tuple)):
            rows.append((wording.plain(name), ", ".join(wording.plain(str(one)) for one in value) or "none"))
        elif isinstance(value, bool):
            rows.append((wording.plain(name), json.dumps(value)))
        else:
            rows.append((wording.plain(name), f"{value:,}" if isinstance(value, int) else str(value)))
    return rows
