"""The runs of the driver's contract, over one backend; run as a process, it prints what came of them as JSON.

python contract_runs.py BACKEND FOLDER
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from eyebright_common.errors import FederationError
from eyebright_common.plan import Plan
from eyebright_server.federation import FederationResult, RoundRules, run_federation
from eyebright_server.federation.rounds import LEDGER
from eyebright_server.records import Records
from tiny_federation import tiny_initial, tiny_plan, tiny_site

PLAN = tiny_plan(rounds=2)


def four_sites(folder: Path) -> list[Path]:
    """Two hospitals that take part, one that has not agreed, one whose pictures are damaged."""
    sites = [tiny_site(folder / f"{i}", i, PLAN, rows=8 + 4 * i, approve=i != 2) for i in range(4)]
    (sites[3] / "train.npz").write_bytes(b"not a zip")
    return sites


def run(backend: str, folder: Path, sites: list[Path], rules: RoundRules, plan: Plan = PLAN) -> FederationResult:
    return run_federation(
        plan=plan, initial=tiny_initial(plan), sites=sites, checkpoint=folder, backend=backend, rules=rules
    )


def facts(result: FederationResult, folder: Path) -> dict[str, Any]:
    with Records.open(folder / LEDGER) as records:
        records.verify_ledger()
        entries = records.ledger()
    return {
        "rounds": [
            {
                "accepted": record.accepted,
                "refused": record.refused,
                "quarantined": [(s.site, s.reason) for s in record.quarantined],
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


def everything(backend: str, folder: Path) -> dict[str, Any]:
    quorum, told = RoundRules(quorum=2), {}
    straight = run(backend, folder / "straight", four_sites(folder / "a"), quorum)
    told["straight"] = facts(straight, folder / "straight")
    sites = four_sites(folder / "b")
    first = run(backend, folder / "halves", sites, RoundRules(quorum=2, round_budget=1))
    told["first half"] = facts(first, folder / "halves")
    told["both halves"] = facts(run(backend, folder / "halves", sites, quorum), folder / "halves")
    try:
        run(backend, folder / "lost", four_sites(folder / "c"), RoundRules(quorum=3))
        told["lost"] = "a round without a quorum was averaged"
    except FederationError as error:
        told["lost"] = str(error)
    return told


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.stdout.write(json.dumps(everything(sys.argv[1], Path(sys.argv[2]))))
