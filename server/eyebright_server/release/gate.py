"""The first gate: what a student must hold to become a release.

Every rule blocks, and what could not be measured has failed.

* ``lint``: the file keeps the contract of ``lint.py``.
* ``size_budget``: the file is small enough to be sent to every unit.
* ``parity``: no logit differs by more than 1e-3 between the trained network and the file.
* ``golden_flips``: on the golden cases network and file decide alike, and every must-refer case is referred.
* ``threshold_from_validation``: the operating point was chosen on validation pictures, some of them to be referred.
* ``not_worse_…``: against the release before, on the same validation pictures, sensitivity may drop by 0.03,
  specificity by 0.05, balanced accuracy by 0.03. Without a release before, these pass and say so.

Floors on sensitivity and specificity are not rules yet: rehearsals run on small synthetic cohorts where they would say
nothing. The card shows the numbers. The margins: clinical reference, section 7, rule 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eyebright_common.release import GateReport, GateRule, GoldenReport, Threshold
from eyebright_server.release.lint import SIZE_BUDGET_BYTES
from eyebright_server.release.parity import Parity

PARITY_LIMIT = 1e-3
SENSITIVITY_MARGIN = 0.03
SPECIFICITY_MARGIN = 0.05
BALANCED_ACCURACY_MARGIN = 0.03
VALIDATION = "validation"

# A drop of exactly the margin passes; this keeps 0.90 - 0.87 from failing on the last bit.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousRelease:
    """The release before, measured again on the candidate's validation pictures.

    Attributes:
        version: Its version.
        metrics: Its metrics there, the same dictionary as the candidate's.
    """

    version: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was measured on a candidate.

    Attributes:
        lint: The linter's findings.
        size_bytes: Length of ``model.onnx``.
        parity: Network against file.
        golden: Decisions of the network against those of the file, on the golden cases.
        threshold: The referral operating point.
        metrics: The candidate's metrics on validation.
        previous: The release before; None when there is none.
        size_budget_bytes: Largest file that a unit takes.
    """

    lint: tuple[str, ...]
    size_bytes: int
    parity: Parity
    golden: GoldenReport
    threshold: Threshold
    metrics: Mapping[str, Any]
    previous: PreviousRelease | None = None
    size_budget_bytes: int = SIZE_BUDGET_BYTES


def judge(findings: Findings) -> GateReport:
    """Return every rule with what was found and what was allowed."""
    return GateReport.of(
        (
            GateRule(
                name="lint",
                value=float(len(findings.lint)),
                limit=0.0,
                passed=not findings.lint,
                note="; ".join(findings.lint) or "no finding",
            ),
            _at_most("size_budget", findings.size_bytes, findings.size_budget_bytes, note="bytes of model.onnx"),
            _parity(findings.parity),
            _golden_flips(findings.golden),
            _threshold(findings.threshold),
            *_not_worse(findings.metrics, findings.previous),
        )
    )


def _at_most(name: str, value: float, limit: float, *, n: int | None = None, note: str = "") -> GateRule:
    return GateRule(name=name, value=float(value), limit=float(limit), passed=value <= limit, n=n, note=note)


def _parity(parity: Parity) -> GateRule:
    if parity.max_abs_logit_difference == float("inf"):
        note = "an output is not a finite number"
        return GateRule(name="parity", value=None, limit=PARITY_LIMIT, passed=False, n=parity.pictures, note=note)
    note = (
        f"largest logit difference between PyTorch and ONNX Runtime; maps differ by {parity.max_abs_cam_difference:.1e}"
    )
    return _at_most("parity", parity.max_abs_logit_difference, PARITY_LIMIT, n=parity.pictures, note=note)


def _golden_flips(golden: GoldenReport) -> GateRule:
    note = "decisions that differ between PyTorch and ONNX Runtime, or must-refer cases that are not referred"
    return _at_most("golden_flips", golden.decision_flips, 0, n=golden.cases, note=note)


def _threshold(threshold: Threshold) -> GateRule:
    origin = threshold.provenance
    if not origin.positives:
        note = "chosen without a single picture to be referred"
    else:
        note = f"{origin.rule}, on {origin.images} pictures, {origin.positives} of them to be referred"
    return GateRule(
        name="threshold_from_validation",
        value=origin.split,
        limit=VALIDATION,
        passed=origin.split == VALIDATION and origin.positives > 0,
        n=origin.images,
        note=note,
    )


def _not_worse(metrics: Mapping[str, Any], previous: PreviousRelease | None) -> Iterator[GateRule]:
    margins = (
        ("sensitivity", SENSITIVITY_MARGIN),
        ("specificity", SPECIFICITY_MARGIN),
        ("balanced_accuracy", BALANCED_ACCURACY_MARGIN),
    )
    for measure, margin in margins:
        name = f"not_worse_{measure}"
        value = _measure(metrics, measure)
        if previous is None:
            yield GateRule(name=name, value=value, limit=None, passed=True, note="no previous release")
        else:
            yield _against(name, value, _measure(previous.metrics, measure), margin, metrics, previous)


def _against(
    name: str,
    value: float | None,
    before: float | None,
    margin: float,
    metrics: Mapping[str, Any],
    previous: PreviousRelease,
) -> GateRule:
    n, n_before = metrics.get("n"), previous.metrics.get("n")
    limit = None if before is None else before - margin
    if value is None or limit is None:
        note = f"not measured for {'this release' if value is None else f'release {previous.version}'}"
        return GateRule(name=name, value=value, limit=limit, passed=False, note=note)
    if n is None or n != n_before:
        note = f"measured on {n} pictures, release {previous.version} on {n_before}: not the same pictures"
        return GateRule(name=name, value=value, limit=limit, passed=False, n=n, note=note)
    note = f"release {previous.version} has {before:.3f} on the same pictures, margin {margin}"
    return GateRule(name=name, value=value, limit=limit, passed=value >= limit - _ROUNDING, n=n, note=note)


def _measure(metrics: Mapping[str, Any], name: str) -> float | None:
    holder = metrics if name == "balanced_accuracy" else metrics.get("referable") or {}
    value = holder.get(name)
    return None if value is None else float(value)
