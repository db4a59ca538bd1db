"""The gate's rules about patients, from counts alone; numbers are the policy's.

* ``held_out``, ``shipped_file``: the evidence is of test data, and of the very file and threshold that ship.
* ``sensitivity_floor``, ``specificity_floor``: point estimates on gradable cases; ``…_bound``: Wilson's lower 95 %
  bound. A bound that misses its floor on fewer cases than such a bound needs is "insufficient data"; so is a floor on a
  handful.
* ``pipeline_sensitivity``, ``pipeline_specificity``: the same points with every ungradable case referred, as a visit
  ends; ``ungradable_share`` shows what that costs.
* ``noninferior_…``: paired, against the release before and against the frozen first one, one-sided 95 % (``bounds``).
  The first one never moves, so small losses cannot add up.
* ``site_harm``: at each site, positives that the release before finds and this one misses; the screen is on the point,
  since a small site proves nothing, and says so below 30 positives.
* ``parts``: by each known fact (sex, camera, …) the part in which sensitivity is lowest.
* ``calibration_error``, ``calibration_slope``: on the pooled counts of gradable pictures.
* ``unit_camera``: pictures from the cameras of units, on a line of their own.
* ``shortcut_audit``, ``test_looks``: whether the data can be passed without looking at the retina; how often they were
  looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from eyebright_common.release import GateRule
from eyebright_common.release.evidence import Disagreement, Outcomes, SiteEvidence
from eyebright_common.release.gate_report import GateVerdict
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.counts import SCORE_EDGES, EvaluationCounts
from eyebright_learning.evaluation.predictive_values import positive_predictive_value
from eyebright_server.release.bounds import cases_for_margin, tango_upper, wilson
from eyebright_server.release.policy import GatePolicy

_SHORTCUTS = ("none", "weak", "strong", "class_is_source")
# 0.90 - 0.85 is a little more than 0.05 in binary.
_ROUNDING = 1e-9


def clinical_rules(
    evidence: Sequence[SiteEvidence],
    policy: GatePolicy,
    *,
    task: ScreeningTask,
    model_sha256: str,
    threshold: float,
    incumbent: str | None,
    first: str | None,
    looks: int | None,
) -> Iterator[GateRule]:
    """Yield the rules about patients; the arguments are those of ``Findings``."""
    hospital = [one for one in evidence if not one.unit_camera]
    pooled = sum((one.outcomes for one in hospital), start=Outcomes())
    yield from _provenance(hospital, policy, model_sha256=model_sha256, threshold=threshold)
    yield from _floors(pooled, policy, unit=_unit(hospital))
    yield from _pipeline(pooled, policy)
    yield from _noninferior(hospital, policy, role="incumbent", version=incumbent)
    yield from _noninferior(hospital, policy, role="first", version=first)
    yield from _site_harm(hospital, policy, incumbent=incumbent)
    yield from _parts(hospital, policy)
    yield from _calibration(hospital, policy, task=task, pooled=pooled)
    yield _unit_camera([one for one in evidence if one.unit_camera], policy)
    yield _shortcut(evidence, policy)
    yield _looks(looks, policy)


def _unit(evidence: Sequence[SiteEvidence]) -> str:
    units = {one.unit for one in evidence}
    if units == {"patient"}:
        return "patients"
    return "pictures: two of one patient count as two, so the bound is too narrow" if units else "nothing"


def _provenance(
    evidence: Sequence[SiteEvidence], policy: GatePolicy, *, model_sha256: str, threshold: float
) -> Iterator[GateRule]:
    seen = [one.site for one in evidence if one.split != "test"]
    shipped = [one for one in evidence if one.model_sha256 == model_sha256 and one.threshold == threshold]
    yield policy.rule(
        "held_out",
        "insufficient data" if not evidence else "fail" if seen else "pass",
        value=None if not evidence else "validation" if seen else "test",
        limit="test",
        n=len(evidence),
        note=f"validation chose round and threshold; so did the data of {', '.join(seen)}" if seen else "sites",
    )
    yield policy.rule(
        "shipped_file",
        "insufficient data" if not evidence else "pass" if len(shipped) == len(evidence) else "fail",
        value=float(len(evidence) - len(shipped)),
        limit=0.0,
        n=len(evidence),
        note="sites whose counts are not of this file at this threshold",
    )


def _floors(pooled: Outcomes, policy: GatePolicy, *, unit: str) -> Iterator[GateRule]:
    limits = policy.limits
    for name, hits, n, floor in (
        ("sensitivity", pooled.true_positive, pooled.positives, limits.sensitivity_floor),
        ("specificity", pooled.true_negative, pooled.negatives, limits.specificity_floor),
    ):
        yield _floor(f"{name}_floor", hits, n, floor, policy, note=f"gradable {unit}")
        lower, upper = wilson(hits, n)
        verdict: GateVerdict
        if not n:
            verdict = "insufficient data"
        elif lower >= limits.bound_floor:
            verdict = "pass"
        elif upper < limits.bound_floor or n >= limits.least_cases_of_a_bound:
            verdict = "fail"
        else:
            verdict = "insufficient data"
        note = f"lower end of Wilson's 95 % interval, {lower:.3f} to {upper:.3f}; {unit}"
        yield policy.rule(
            f"{name}_bound",
            verdict,
            value=lower if n else None,
            limit=limits.bound_floor,
            n=n,
            note=note if verdict != "insufficient data" else f"{note}; needs {limits.least_cases_of_a_bound}",
        )


def _floor(name: str, hits: int, n: int, floor: float, policy: GatePolicy, *, note: str) -> GateRule:
    least = policy.limits.least_cases_of_a_floor
    if n < least:
        note = f"{note}; needs {least}"
        return policy.rule(name, "insufficient data", value=hits / n if n else None, limit=floor, n=n, note=note)
    verdict: GateVerdict = "pass" if hits / n >= floor - _ROUNDING else "fail"
    return policy.rule(name, verdict, value=hits / n, limit=floor, n=n, note=note)


def _pipeline(pooled: Outcomes, policy: GatePolicy) -> Iterator[GateRule]:
    both, limits = pooled.with_ungradable_referred(), policy.limits
    extra = f"{pooled.ungradable} ungradable cases are referred, {pooled.ungradable_positive} of them rightly"
    yield _floor(
        "pipeline_sensitivity", both.true_positive, both.positives, limits.sensitivity_floor, policy, note=extra
    )
    yield _floor(
        "pipeline_specificity", both.true_negative, both.negatives, limits.specificity_floor, policy, note=extra
    )
    share = pooled.ungradable / pooled.n if pooled.n else None
    verdict: GateVerdict = (
        "insufficient data" if share is None else "pass" if share <= limits.ungradable_share else "fail"
    )
    yield policy.rule(
        "ungradable_share", verdict, value=share, limit=limits.ungradable_share, n=pooled.n, note="of all cases"
    )


def _noninferior(
    evidence: Sequence[SiteEvidence], policy: GatePolicy, *, role: Literal["incumbent", "first"], version: str | None
) -> Iterator[GateRule]:
    told = [one.against[role] for one in evidence if role in one.against]
    pooled = sum(told[1:], start=told[0]) if told else None
    limits = policy.limits
    for name, margin in (("sensitivity", limits.sensitivity_margin), ("specificity", limits.specificity_margin)):
        rule = f"noninferior_{name}"
        about = f"{role}, release {version}" if version else role
        if version is None:
            yield policy.rule(rule, "pass", value=None, limit=margin, about=about, note="no release before it")
        elif pooled is None or {one.version for one in told} != {version}:
            note = f"no site has compared it with release {version}"
            yield policy.rule(rule, "insufficient data", value=None, limit=margin, about=about, note=note)
        else:
            lost, won, n = _changes(pooled, name)
            yield _margin(rule, lost, won, n, margin, policy, about=about)


def _changes(pooled: Disagreement, name: str) -> tuple[int, int, int]:
    if name == "sensitivity":
        return pooled.missed, pooled.found, pooled.positives
    return pooled.alarmed, pooled.calmed, pooled.negatives


def _margin(rule: str, lost: int, won: int, n: int, margin: float, policy: GatePolicy, *, about: str) -> GateRule:
    needed = cases_for_margin(margin, discordance=policy.limits.discordance)
    upper = tango_upper(lost, won, n)
    loss = (lost - won) / n if n else 0.0
    verdict: GateVerdict
    if n and upper <= margin:
        verdict = "pass"
    elif n >= needed or (n >= policy.limits.least_cases_of_a_floor and loss > margin + _ROUNDING):
        verdict = "fail"
    else:
        verdict = "insufficient data"
    note = f"at most this much is lost (Tango, one-sided 95 %); {lost} lost, {won} won"
    return policy.rule(
        rule,
        verdict,
        value=upper if n else None,
        limit=margin,
        n=n,
        about=about,
        note=note if verdict != "insufficient data" else f"{note}; needs {needed}",
    )


def _site_harm(evidence: Sequence[SiteEvidence], policy: GatePolicy, *, incumbent: str | None) -> Iterator[GateRule]:
    limits = policy.limits
    if incumbent is None:
        yield policy.rule("site_harm", "pass", value=None, limit=limits.site_drop, note="no release before it")
        return
    if not evidence:
        yield policy.rule("site_harm", "insufficient data", value=None, limit=limits.site_drop, note="no site")
    for one in evidence:
        told = one.against.get("incumbent")
        n = told.positives if told else 0
        drop = (told.missed - told.found) / n if told and n else None
        verdict: GateVerdict
        if told is None or drop is None or n < limits.least_positives_of_a_site:
            verdict, note = "insufficient data", f"needs {limits.least_positives_of_a_site} cases to be referred"
        else:
            verdict = "fail" if drop > limits.site_drop + _ROUNDING and told.missed > told.found else "pass"
            note = f"sensitivity lost against release {incumbent}: {told.missed} missed, {told.found} found"
        yield policy.rule("site_harm", verdict, value=drop, limit=limits.site_drop, n=n, about=one.site, note=note)


def _parts(evidence: Sequence[SiteEvidence], policy: GatePolicy) -> Iterator[GateRule]:
    by: dict[str, dict[str, Outcomes]] = {}
    for one in evidence:
        for fact, values in one.parts.items():
            for value, outcomes in values.items():
                known = by.setdefault(fact, {})
                known[value] = known.get(value, Outcomes()) + outcomes
    if not by:
        yield policy.rule(
            "parts", "insufficient data", value=None, limit=policy.limits.part_floor, note="no fact of any case is told"
        )
    for fact, values in sorted(by.items()):
        yield _part(fact, values, policy)


def _part(fact: str, values: dict[str, Outcomes], policy: GatePolicy) -> GateRule:
    limits = policy.limits
    large = {
        name: one
        for name, one in values.items()
        if one.n >= limits.least_cases_of_a_part and one.positives >= limits.least_positives_of_a_part
    }
    small = len(values) - len(large)
    beside = f"; {small} too small to say" if small else ""
    if not large:
        note = f"no part has {limits.least_cases_of_a_part} cases, {limits.least_positives_of_a_part} to be referred"
        return policy.rule("parts", "insufficient data", value=None, limit=limits.part_floor, about=fact, note=note)
    name, worst = min(large.items(), key=lambda item: (item[1].true_positive / item[1].positives, item[0]))
    value = worst.true_positive / worst.positives
    return policy.rule(
        "parts",
        "pass" if value >= limits.part_floor - _ROUNDING else "fail",
        value=value,
        limit=limits.part_floor,
        n=worst.positives,
        about=fact,
        note=f"sensitivity is lowest for {name!r}, of {len(large)} parts{beside}",
    )


def _calibration(
    evidence: Sequence[SiteEvidence], policy: GatePolicy, *, task: ScreeningTask, pooled: Outcomes
) -> Iterator[GateRule]:
    limits = policy.limits
    counts = sum(
        (EvaluationCounts.from_dict(one.counts, task=task) for one in evidence),
        start=EvaluationCounts.zero(len(task.classes)),
    )
    few = counts.n < limits.least_cases_of_calibration
    needs = f"; needs {limits.least_cases_of_calibration}" if few else ""
    error = counts.metrics(task=task, threshold=None)["ece"]
    yield policy.rule(
        "calibration_error",
        "insufficient data" if few or error is None else "pass" if error <= limits.calibration_error else "fail",
        value=error,
        limit=limits.calibration_error,
        n=counts.n,
        note=f"expected calibration error of gradable pictures{needs}{_predictive_values(pooled)}",
    )
    slope = calibration_slope(counts)
    inside = slope is not None and limits.least_calibration_slope <= slope <= limits.largest_calibration_slope
    yield policy.rule(
        "calibration_slope",
        "insufficient data" if few or slope is None else "pass" if inside else "fail",
        value=slope,
        limit=f"{limits.least_calibration_slope:g} to {limits.largest_calibration_slope:g}",
        n=counts.n,
        note=f"of the logit of the referable score; 1 is right, below it the score is too sure{needs}",
    )


def _predictive_values(pooled: Outcomes) -> str:
    both = pooled.with_ungradable_referred()
    if not both.positives or not both.negatives:
        return ""
    rates = (np.array([both.true_positive / both.positives]), np.array([both.true_negative / both.negatives]))
    shown = [f"{positive_predictive_value(*rates, share)[0]:.2f} at {share:.0%}" for share in (0.05, 0.10)]
    return f"; of the referred are ill {', '.join(shown)} prevalence"


def calibration_slope(counts: EvaluationCounts) -> float | None:
    """Return the slope of a logistic regression of "to be referred" on the logit of the score, from histograms.

    None when one kind is missing, or the scores separate the kinds so well that no finite slope is likeliest.
    """
    positive, negative = counts.referable_positive.astype(float), counts.referable_negative.astype(float)
    if not positive.sum() or not negative.sum():
        return None
    upper = np.append(SCORE_EDGES[1:], 1.0)
    middle = np.clip((SCORE_EDGES + upper) / 2, 1e-4, 1 - 1e-4)
    x, n = np.log(middle / (1 - middle)), positive + negative
    a, b = 0.0, 1.0
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(a + b * x, -30, 30)))
        w, r = n * p * (1 - p), positive - n * p
        hessian = np.array([[w.sum(), (w * x).sum()], [(w * x).sum(), (w * x * x).sum()]])
        if abs(np.linalg.det(hessian)) < 1e-9:
            return None
        step = np.linalg.solve(hessian, np.array([r.sum(), (r * x).sum()]))
        a, b = a + float(np.clip(step[0], -2, 2)), b + float(np.clip(step[1], -2, 2))
        if abs(step).max() < 1e-8:
            return b
    return None


def _unit_camera(evidence: Sequence[SiteEvidence], policy: GatePolicy) -> GateRule:
    pooled = sum((one.outcomes for one in evidence), start=Outcomes())
    floor = policy.limits.sensitivity_floor
    if not pooled.n:
        return policy.rule(
            "unit_camera", "insufficient data", value=None, limit=floor, n=0, note="not validated for handheld cameras"
        )
    both = pooled.with_ungradable_referred()
    return _floor(
        "unit_camera",
        both.true_positive,
        both.positives,
        floor,
        policy,
        note=f"sensitivity on the cameras of units; {pooled.ungradable} of {pooled.n} ungradable",
    )


def _shortcut(evidence: Sequence[SiteEvidence], policy: GatePolicy) -> GateRule:
    levels = [one.shortcut for one in evidence if one.shortcut is not None]
    if not levels or len(levels) < len(evidence):
        note = f"the audit was run on the data of {len(levels)} of {len(evidence)} sites"
        return policy.rule("shortcut_audit", "insufficient data", value=None, limit="weak", n=len(levels), note=note)
    worst = max(levels, key=_SHORTCUTS.index)
    return policy.rule(
        "shortcut_audit",
        "pass" if worst in ("none", "weak") else "fail",
        value=worst,
        limit="weak",
        n=len(levels),
        note="how well labels can be told without looking at the retina",
    )


def _looks(looks: int | None, policy: GatePolicy) -> GateRule:
    limit = policy.limits.looks
    verdict: GateVerdict = "insufficient data" if looks is None else "pass" if looks <= limit else "fail"
    note = "how often these test data were looked at, this time included; the ledger counts"
    value = None if looks is None else float(looks)
    return policy.rule("test_looks", verdict, value=value, limit=float(limit), note=note)
