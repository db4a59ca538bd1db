"""Evidence for gates in tests: sites whose counts are written down, not measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eyebright_common.release import GATE_FILE, GateReport, GateRule, Release, describe_artefact
from eyebright_common.release.evidence import Disagreement, Outcomes, SiteEvidence
from eyebright_common.release.gate_report import PolicyInForce
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation.counts import EvaluationCounts
from release_folders import write_release

MODEL = "b" * 64
TASK = get_task("fundus")


def calibrated_counts(n: int = 400, seed: int = 0) -> EvaluationCounts:
    """Counts of pictures whose labels are drawn from the very probabilities they were given."""
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.full(len(TASK.classes), 0.4), size=n)
    labels = np.array([generator.choice(len(TASK.classes), p=row) for row in p])
    return EvaluationCounts.of(p, labels, task=TASK)


def outcomes(
    sensitivity: float, specificity: float, *, positives: int = 200, negatives: int = 300, **more: int
) -> Outcomes:
    """Outcomes with these rates, ``ungradable_positive=…`` and the like besides."""
    found, let_go = round(sensitivity * positives), round(specificity * negatives)
    return Outcomes(
        true_positive=found,
        false_negative=positives - found,
        true_negative=let_go,
        false_positive=negatives - let_go,
        **more,
    )


def against(version: str = "1", *, positives: int = 400, negatives: int = 400, **changes: int) -> Disagreement:
    """A comparison with nothing lost and nothing won, but for ``changes``."""
    counts = {"missed": 0, "found": 0, "alarmed": 0, "calmed": 0} | changes
    return Disagreement(version=version, positives=positives, negatives=negatives, **counts)


def site(name: str = "north", **changes: Any) -> SiteEvidence:
    """A site that passes every rule, but for ``changes``."""
    fields: dict[str, Any] = {
        "site": name,
        "split": "test",
        "unit": "patient",
        "model_sha256": MODEL,
        "data_digest": "d",
        "threshold": 0.5,
        "outcomes": outcomes(0.93, 0.91),
        "parts": {"sex": {"F": outcomes(0.93, 0.9), "M": outcomes(0.92, 0.9)}},
        "counts": {key: tuple(values) for key, values in calibrated_counts().to_dict().items()},
        "shortcut": "none",
    }
    return SiteEvidence(**{**fields, **changes})


def write_gated_release(folder: Path, *, blocks: bool = False, **changes: Any) -> Release:
    """Write a small release whose gate report is listed in it; one that blocks when asked for."""
    rule = GateRule(name="parity", value=0.0, limit=0.001, verdict="fail" if blocks else "pass", blocks=blocks)
    report = GateReport.of((rule,), policy=PolicyInForce(version=1, profile="screening", sha256="a" * 64))
    made = write_release(folder, **changes)
    (folder / GATE_FILE).write_bytes(report.to_json())
    return write_release(folder, **changes, artefacts=(*made.artefacts, describe_artefact(folder / GATE_FILE)))
