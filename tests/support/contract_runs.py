"""The runs of the driver's contract, over any backend; as a process, over one of this machine, it prints what came.

python contract_runs.py BACKEND FOLDER
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eyebright_common.errors import FederationError
from eyebright_server.federation import FederationResult, RoundRules, run_federation
from eyebright_server.federation.rounds import LEDGER
from eyebright_server.records import LedgerEntry, Records
from tiny_federation import tiny_initial, tiny_plan, tiny_site

PLAN = tiny_plan(rounds=2)
# Runs a plan's rounds in a folder under rules, over fresh hospitals if the second argument says so.
Run = Callable[[Path, bool, RoundRules], FederationResult]
Ledger = Callable[[Path], Sequence[LedgerEntry]]


def four_sites(folder: Path) -> list[Path]:
    """Two hospitals that take part, one that has not agreed, one whose pictures are damaged."""
    sites = [tiny_site(folder / f"{i}", i, PLAN, rows=8 + 4 * i, approve=i != 2) for i in range(4)]
    (sites[3] / "train.npz").write_bytes(b"not a zip")
    return sites


def facts(result: FederationResult, entries: Sequence[LedgerEntry]) -> dict[str, Any]:
    return {
        "rounds": [
            {
                "accepted": list(record.accepted),
                "refused": list(record.refused),
                "quarantined": [[s.site, s.reason] for s in record.quarantined],
                "bytes": (record.bytes_up, record.bytes_down),
                "n": record.metrics["n"],
            }
            for record in result.rounds
        ],
        "weights": [record.weights_sha256 for record in result.rounds],
        "resumed_after": result.resumed_after,
        "ended": result.ended,
        "ledger": Counter(entry.kind for entry in entries),
    }


def everything(run: Run, ledger: Ledger, folder: Path) -> dict[str, Any]:
    quorum, told = RoundRules(quorum=2), {}
    told["straight"] = facts(run(folder / "straight", True, quorum), ledger(folder / "straight"))
    first = run(folder / "halves", True, RoundRules(quorum=2, round_budget=1))
    told["first half"] = facts(first, ledger(folder / "halves"))
    told["both halves"] = facts(run(folder / "halves", False, quorum), ledger(folder / "halves"))
    try:
        run(folder / "lost", True, RoundRules(quorum=3))
        told["lost"] = "a round without a quorum was averaged"
    except FederationError as error:
        told["lost"] = str(error)
    return told


def over_folders(backend: str) -> Run:
    """Run over folders on this machine; fresh hospitals are made beside the run."""

    def run(folder: Path, fresh: bool, rules: RoundRules) -> FederationResult:
        place = folder.with_name(f"{folder.name}-sites")
        sites = four_sites(place) if fresh else [place / f"{i}" for i in range(4)]
        return run_federation(
            plan=PLAN, initial=tiny_initial(PLAN), sites=sites, checkpoint=folder, backend=backend, rules=rules
        )

    return run


def ledger_beside(folder: Path) -> Sequence[LedgerEntry]:
    with Records.open(folder / LEDGER) as records:
        records.verify_ledger()
        return records.ledger()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.stdout.write(json.dumps(everything(over_folders(sys.argv[1]), ledger_beside, Path(sys.argv[2]))))
