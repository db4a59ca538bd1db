"""The gate: what a student must hold to become a release, on the file that ships, at the threshold that ships.

Each rule prints value, limit, n and a verdict; which verdicts block is the policy's (``policy``). What could not be
measured has not passed. Here are the rules about the file; those about patients are in ``clinical_rules``.

* ``lint``: the file keeps the contract of ``lint.py``. ``size_budget``: it is small enough to be sent to every unit.
* ``parity``: no logit differs by more than 1e-3 between the trained network and the file.
* ``golden_flips``: on the golden cases network and file decide alike.
* ``must_refer``: no golden case and no case that a site has marked is missed. One is too many.
* ``weight_names``: the weights have the names of the release before, so that engines can be refitted.
* ``threshold_from_validation``: the operating point was chosen on validation pictures, some of them to be referred.
* ``variant_fp16``, ``variant_int8``: how far a variant's scores are from the FP32 file's. ``variant_…_decisions``: the
  share of pictures whose referral it changes at the threshold that ships. A variant that fails either is withheld; the
  release is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eyebright_common.release import GateReport, GateRule, Threshold, VariantFacts
from eyebright_common.release.evidence import MustRefer, SiteEvidence
from eyebright_common.release.gate_report import GateVerdict, Override
from eyebright_common.tasks import ScreeningTask
from eyebright_server.release.clinical_rules import clinical_rules
from eyebright_server.release.policy import GatePolicy

VALIDATION = "validation"
_WITHHELD = "withheld: "


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFindings:
    """A variant: what was measured, and what the linter says of it."""

    facts: VariantFacts
    lint: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFindings:
    """What was measured on a candidate's files when they were made.

    Attributes:
        lint: The linter's findings.
        size_bytes: Length of ``model.onnx``.
        parity_pictures: Pictures on which network and file were compared.
        max_abs_logit_difference: Between the two; None when an output is not a finite number.
        max_abs_cam_difference: The same of the maps.
        golden_cases: Golden cases.
        golden_flips: Of which network and file decide differently.
        golden_must_refer: Of which have to be referred, and how many the file misses.
        variants: Each variant that was made.
        same_weight_names: Whether the weights have the names of the release before; None where there is none, or it
            has another architecture.
    """

    lint: tuple[str, ...]
    size_bytes: int
    parity_pictures: int
    max_abs_logit_difference: float | None
    max_abs_cam_difference: float | None
    golden_cases: int
    golden_flips: int
    golden_must_refer: MustRefer
    variants: tuple[VariantFindings, ...] = ()
    same_weight_names: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that the gate is told.

    Attributes:
        task: What is screened for.
        files: About the files.
        model_sha256: Digest of the ``model.onnx`` that ships.
        threshold: The referral operating point that ships.
        evidence: What sites found.
        incumbent: Version of the release before; None for the first.
        first: Version of the first release; None for the first.
        looks: How often the test data were looked at, this time included, by data digest; None when nobody counted.
    """

    task: ScreeningTask
    files: FileFindings
    model_sha256: str
    threshold: Threshold
    evidence: Sequence[SiteEvidence] = ()
    incumbent: str | None = None
    first: str | None = None
    looks: int | None = None


def judge(findings: Findings, policy: GatePolicy, *, override: Override | None = None) -> GateReport:
    """Return every rule with what was found and what was allowed.

    Args:
        findings: What was measured.
        policy: What is allowed.
        override: A person's word against some of the rules.

    Raises:
        InputError: the override names a rule that nobody may override, or that does not block.
    """
    rules = (
        *_file_rules(findings, policy),
        *(rule for variant in findings.files.variants for rule in _variant(variant, policy)),
        *clinical_rules(
            findings.evidence,
            policy,
            task=findings.task,
            model_sha256=findings.model_sha256,
            threshold=findings.threshold.value,
            incumbent=findings.incumbent,
            first=findings.first,
            looks=findings.looks,
        ),
    )
    if override is not None:
        policy.check_override(override.rules)
    return GateReport.of(rules, policy=policy.in_force, override=override)


def withheld(report: GateReport, precision: str) -> str | None:
    """Return why a variant does not ship; None when it does."""
    names = (f"variant_{precision}", f"variant_{precision}_decisions")
    rules = [rule for rule in report.rules if rule.name in names]
    if not rules:
        return "it was not made"
    failed = [rule.note.removeprefix(_WITHHELD) for rule in rules if not rule.passed]
    return _WITHHELD + "; ".join(failed) if failed else None


def _file_rules(findings: Findings, policy: GatePolicy) -> Iterator[GateRule]:
    files, limits = findings.files, policy.limits
    yield policy.rule(
        "lint",
        "fail" if files.lint else "pass",
        value=float(len(files.lint)),
        limit=0.0,
        note="; ".join(files.lint) or "no finding",
    )
    yield policy.rule(
        "size_budget",
        "pass" if files.size_bytes <= limits.size_budget_bytes else "fail",
        value=float(files.size_bytes),
        limit=float(limits.size_budget_bytes),
        note="bytes of model.onnx",
    )
    yield _parity(files, policy)
    yield policy.rule(
        "golden_flips",
        "fail" if files.golden_flips else "pass",
        value=float(files.golden_flips),
        limit=0.0,
        n=files.golden_cases,
        note="decisions that differ between PyTorch and ONNX Runtime",
    )
    yield _must_refer(findings, policy)
    yield _weight_names(files, policy)
    yield _threshold(findings.threshold, policy)


def _parity(files: FileFindings, policy: GatePolicy) -> GateRule:
    apart, limit = files.max_abs_logit_difference, policy.limits.parity_logit
    if apart is None:
        note = "an output is not a finite number"
        return policy.rule("parity", "fail", value=None, limit=limit, n=files.parity_pictures, note=note)
    maps = "" if files.max_abs_cam_difference is None else f"; maps differ by {files.max_abs_cam_difference:.1e}"
    return policy.rule(
        "parity",
        "pass" if apart <= limit else "fail",
        value=apart,
        limit=limit,
        n=files.parity_pictures,
        note=f"largest logit difference between PyTorch and ONNX Runtime{maps}",
    )


def _must_refer(findings: Findings, policy: GatePolicy) -> GateRule:
    marked = [one.must_refer for one in findings.evidence if one.must_refer is not None]
    told = [findings.files.golden_must_refer, *marked]
    cases, missed = sum(one.cases for one in told), sum(one.missed for one in told)
    verdict: GateVerdict = "insufficient data" if not cases else "fail" if missed else "pass"
    note = f"{findings.files.golden_must_refer.cases} golden cases, {sum(one.cases for one in marked)} marked by sites"
    return policy.rule("must_refer", verdict, value=float(missed), limit=0.0, n=cases, note=note)


def _weight_names(files: FileFindings, policy: GatePolicy) -> GateRule:
    if files.same_weight_names is None:
        note = "no release before it of this architecture"
        return policy.rule("weight_names", "pass", value=None, limit=None, note=note)
    note = "against the release before; engines can be refitted" if files.same_weight_names else "engines are rebuilt"
    found = "the same" if files.same_weight_names else "others"
    verdict: GateVerdict = "pass" if files.same_weight_names else "fail"
    return policy.rule("weight_names", verdict, value=found, limit="the same", note=note)


def _threshold(threshold: Threshold, policy: GatePolicy) -> GateRule:
    origin = threshold.provenance
    if not origin.positives:
        note = "chosen without a single picture to be referred"
    else:
        note = f"{origin.rule}, on {origin.images} pictures, {origin.positives} of them to be referred"
    return policy.rule(
        "threshold_from_validation",
        "pass" if origin.split == VALIDATION and origin.positives > 0 else "fail",
        value=origin.split,
        limit=VALIDATION,
        n=origin.images,
        note=note,
    )


def _variant(variant: VariantFindings, policy: GatePolicy) -> Iterator[GateRule]:
    facts, limits = variant.facts, policy.limits
    half = facts.precision == "fp16"
    value = facts.max_abs_score_difference if half else facts.mean_abs_score_difference
    limit = limits.fp16_score_difference if half else limits.int8_mean_score_difference
    reasons = [f"linter: {'; '.join(variant.lint)}"] if variant.lint else []
    if value > limit:
        reasons.append(f"{'largest' if half else 'mean'} score difference {value:.4f}, allowed {limit:.4f}")
    yield policy.rule(
        f"variant_{facts.precision}",
        "fail" if reasons else "pass",
        value=value,
        limit=limit,
        n=facts.pictures,
        note=_WITHHELD + "; ".join(reasons)
        if reasons
        else f"{facts.size_ratio:.2f} of the size, {facts.speed_ratio:.2f} times as fast here",
    )
    yield _decisions(facts, policy)


def _decisions(facts: VariantFacts, policy: GatePolicy) -> GateRule:
    limits = policy.limits
    changed, clear = facts.changed_decisions / facts.pictures, facts.changed_outside_band / facts.pictures
    counts = f"{facts.changed_decisions} decisions change, {facts.changed_outside_band} of them clear"
    # Shown is the limit that it breaks, else the wider one.
    value, limit = changed, limits.variant_flipped_share
    if value <= limit and clear > limits.variant_changed_share:
        value, limit = clear, limits.variant_changed_share
    return policy.rule(
        f"variant_{facts.precision}_decisions",
        "fail" if value > limit else "pass",
        value=value,
        limit=limit,
        n=facts.pictures,
        note=_WITHHELD + counts if value > limit else counts,
    )
