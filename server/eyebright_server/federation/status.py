"""What may be shown of a run: pooled, worst and per-hospital figures of its rounds, and tables without small counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from eyebright_server.federation.checkpoint import Checkpoint, weights_digest
from eyebright_server.federation.records import RoundRecord
from eyebright_server.federation.run_folder import RunFolder
from eyebright_server.federation.suppression import shown_tables


def worst_site(record: RoundRecord, metric: str = "balanced_accuracy") -> tuple[int, float] | None:
    """Return the hospital for which the round's student is worst, and its figure; None where nobody has one."""
    known = {site: m[metric] for site, m in record.site_metrics.items() if m.get(metric) is not None}
    if not known:
        return None
    site = min(known, key=lambda each: (known[each], each))
    return site, float(known[site])


def facts_of_run(run: RunFolder) -> dict[str, Any]:
    """Return what may be shown of a run, as JSON values."""
    place = Checkpoint(
        folder=run.checkpoint,
        plan_digest=run.plan.digest(),
        initial_sha256=weights_digest(run.initial()),
        hospitals=run.settings.hospitals,
    )
    state = place.load()
    if state is None:
        return {
            "plan": run.plan.digest(),
            "planned": run.plan.rounds,
            "rounds": [],
            "best_round": None,
            "temperature": None,
            "tables": None,
        }
    classes = len(run.plan.classes)
    confusions = {
        site: np.array(counts["confusion"]).reshape(classes, classes) for site, counts in state.best_counts.items()
    }
    shown = shown_tables(confusions, smallest=run.rules.smallest_count)
    return {
        "plan": run.plan.digest(),
        "planned": run.plan.rounds,
        "rounds": [_facts_of_round(record) for record in state.records],
        "best_round": state.best_round,
        "temperature": state.calibration.temperature if state.calibration else None,
        "tables": {"pooled": shown.pooled, "sites": shown.sites, "hidden_cells": shown.hidden},
    }


def _facts_of_round(record: RoundRecord) -> dict[str, Any]:
    worst = worst_site(record)
    return {
        "round": record.round,
        "accepted": list(record.accepted),
        "set_aside": [{"site": s.site, "reason": s.reason} for s in record.quarantined],
        "refused": list(record.refused),
        "late": list(record.late),
        "suspended": list(record.suspended),
        "opposed": [{**asdict(each), "sentence": each.sentence} for each in record.opposed],
        "attempts": record.attempts,
        **_figures(record.metrics),
        "worst": {"site": worst[0], "balanced_accuracy": worst[1]} if worst else None,
        "sites": {site: _figures(metrics) for site, metrics in record.site_metrics.items()},
        "beats_own": record.beats_own,
        "bytes_up": record.bytes_up,
        "bytes_down": record.bytes_down,
        "bytes_saved": record.bytes_saved,
        "epsilon": record.epsilon,
        "seconds": record.seconds,
    }


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metrics.get(name) for name in ("balanced_accuracy", "macro_auroc", "n")}
