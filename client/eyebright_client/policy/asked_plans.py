"""The plans that servers have asked for, kept so that a person can read them before agreeing.

A plan is public to its participants and names no patient. At most ``MOST_KEPT`` are kept: a server that asks for a
new plan every second fills no disk.
"""

from __future__ import annotations

from pathlib import Path

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.plan import Plan

FOLDER = "asked"
MOST_KEPT = 20


def note_asked(site: Path, plan: Plan) -> None:
    """Keep a plan somebody has asked for, once."""
    path = site / FOLDER / f"{plan.digest()}.json"
    if path.exists() or len(list(path.parent.glob("*.json"))) >= MOST_KEPT:
        return
    write_bytes(path, plan.canonical_json().encode())


def asked_plans(site: Path) -> dict[str, Plan]:
    """Return the plans that were asked for, by digest; a file that is none is passed over."""
    found = {}
    for path in sorted((site / FOLDER).glob("*.json")):
        try:
            plan = Plan.from_json(path.read_bytes())
        except (OSError, InputError):
            continue
        found[plan.digest()] = plan
    return found
