"""``card.md``: the release in words, for the person who has to decide whether to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eyebright_common.release import GateReport, Release, VariantFacts
from eyebright_common.release.evidence import Outcomes, SiteEvidence
from eyebright_common.tasks import ScreeningTask
from eyebright_server.release.gate import withheld
from eyebright_server.release.gate_words import headline, rule_table
from eyebright_server.release.markdown import bullets
from eyebright_server.release.markdown import code as _code
from eyebright_server.release.markdown import table as _table

_COLUMNS = ("pictures", "balanced accuracy", "macro AUROC", "referable AUROC", "sensitivity", "specificity", "ECE")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteData:
    """How much a hospital brought, in counts.

    Attributes:
        name: Its public name.
        train: Pictures trained on.
        validation: Pictures validated on.
        labels: Pictures per class.
    """

    name: str
    train: int
    validation: int
    labels: Mapping[str, int] = field(default_factory=dict)


def render_card(
    release: Release,
    *,
    task: ScreeningTask,
    gate: GateReport,
    sites: Sequence[SiteData] = (),
    limits: Sequence[str] = (),
    evidence: Sequence[SiteEvidence] = (),
    made: Sequence[VariantFacts] = (),
) -> str:
    """Return the card, Markdown.

    Args:
        release: The release; artefacts listed so far are printed with their digests.
        task: Its task.
        gate: What the gate found.
        sites: What each hospital brought.
        limits: Known limits of this release, beside those that every release has.
        evidence: What sites found when they ran it.
        made: Every variant that was made, withheld ones too.
    """
    parts = [
        f"# {task.title}: release {release.version}",
        f"**{release.notice}**",
        _use(release, task),
        _data(sites, task),
        _metrics(release),
        *_judged(evidence),
        _threshold(release),
        *_variants(release, made, gate),
        _gate(gate),
        _limits(limits),
        _lineage(release),
        _artefacts(release),
    ]
    return "\n\n".join(parts) + "\n"


def _use(release: Release, task: ScreeningTask) -> str:
    modality = {"CFP": "colour fundus photographs", "OCT": "OCT B-scans"}[release.modality]
    size = release.preprocessing.image_size
    classes, referable = _listed(release.classes), _listed(sorted(release.referable))
    paragraphs = [
        "## What it is for",
        f"Research on screening from {modality}: it sorts pictures into {classes}, and says of an eye and a patient\n"
        f"whether to refer ({referable}), not to refer, or that the pictures cannot be graded.",
        "It is not for diagnosis and not for treatment decisions; nobody has cleared it. It looks for no other\n"
        "disease: a picture without these findings is not a picture of a healthy eye.",
        f"Network: {release.student.arch}, {release.student.parameters:,} parameters. Task: `{task.name}`. Input:\n"
        f"{size} px square, prepared by `{release.preprocessing.id}`.",
    ]
    return "\n\n".join(paragraphs)


def _data(sites: Sequence[SiteData], task: ScreeningTask) -> str:
    if not sites:
        return "## Data\n\nThe builder gave no counts per hospital."
    rows = [
        [site.name, str(site.train), str(site.validation), *(str(site.labels.get(name, 0)) for name in task.classes)]
        for site in sites
    ]
    table = _table(["hospital", "training", "validation", *task.classes], rows)
    return f"## Data\n\nPictures per hospital. They never left it.\n\n{table}"


def _metrics(release: Release) -> str:
    metrics = release.metrics
    rows = [["**all**", *_row(metrics.overall)], *([name, *_row(site)] for name, site in metrics.sites.items())]
    rows += [[f"{name}, all", *_row(other)] for name, other in metrics.others.items()]
    return f"## How good it is\n\nPer picture, on the {metrics.split} split.\n\n{_table(['', *_COLUMNS], rows)}"


def _row(metrics: Mapping[str, Any]) -> list[str]:
    referable = metrics.get("referable") or {}
    values = [
        metrics.get("balanced_accuracy"),
        metrics.get("macro_auroc"),
        referable.get("auroc"),
        referable.get("sensitivity"),
        referable.get("specificity"),
        metrics.get("ece"),
    ]
    return [str(metrics.get("n", "n/a")), *("n/a" if value is None else f"{value:.3f}" for value in values)]


def _threshold(release: Release) -> str:
    threshold, origin = release.threshold, release.threshold.provenance
    found = "".join(
        f", {name} {value:.3f} there"
        for name, value in (("sensitivity", origin.sensitivity), ("specificity", origin.specificity))
        if value is not None
    )
    return (
        "## Operating point\n\n"
        "A picture is referred when the summed probability of the referable classes is at least\n"
        f"**{threshold.value:.4f}** (temperature {release.temperature:.4f}). Chosen on the {origin.split} split:\n"
        f"{origin.rule}, on {origin.images} pictures of which {origin.positives} are to be referred{found}."
    )


def _judged(evidence: Sequence[SiteEvidence]) -> list[str]:
    if not evidence:
        return []
    rows = [[one.site, one.split, one.unit, *_outcomes(one.outcomes)] for one in evidence]
    columns = ["site", "split", "counted", "to be referred", "found", "others", "let go", "ungradable"]
    parts = [f"## What it was judged on\n\n{_table(columns, rows)}"]
    pooled: dict[tuple[str, str], Outcomes] = {}
    for one in evidence:
        for fact, values in one.parts.items():
            for value, outcomes in values.items():
                pooled[fact, value] = pooled.get((fact, value), Outcomes()) + outcomes
    if pooled:
        lines = [[fact, value, *_outcomes(found)] for (fact, value), found in sorted(pooled.items())]
        parts.append(_table(["by", "part", *columns[3:]], lines))
    return parts


def _outcomes(found: Outcomes) -> list[str]:
    counts = (found.positives, found.true_positive, found.negatives, found.true_negative, found.ungradable)
    return [f"{count:,}" for count in counts]


def _variants(release: Release, made: Sequence[VariantFacts], gate: GateReport) -> list[str]:
    if not made:
        return []
    rows = [
        [
            facts.file,
            f"{facts.size_bytes:,}",
            f"{facts.speed_ratio:.2f}",
            f"{facts.mean_abs_score_difference:.4f}",
            f"{facts.max_abs_score_difference:.4f}",
            f"{facts.changed_decisions} of {facts.pictures}",
            "ships" if release.variant(facts.precision) else withheld(gate, facts.precision) or "withheld",
        ]
        for facts in made
    ]
    columns = ["variant", "bytes", "times as fast", "mean difference", "largest difference", "decisions changed", ""]
    about = "Against `model.onnx`, in ONNX Runtime on one thread of the server; not measured on a unit's hardware."
    return [f"## Variants\n\n{about}\n\n{_table(columns, rows)}"]


def _gate(gate: GateReport) -> str:
    override = gate.override
    word = "" if override is None else f"\n\n**Overridden** by {override.operator}, {override.time}: {override.reason}"
    return f"## Gate\n\n{headline(gate)}{word}\n\n{rule_table(gate)}"


def _limits(limits: Sequence[str]) -> str:
    always = [
        "Measured on the cameras of the hospitals above only; any other, a handheld one above all, is not validated.",
        "Numbers are per picture; a patient is as many chances of a false alarm as there are pictures.",
        "Ungradable pictures have no score. They are a risk signal and never mean that the eye is well.",
    ]
    return f"## Known limits\n\n{bullets([*limits, *always])}"


def _lineage(release: Release) -> str:
    lineage = release.lineage
    rows = [
        ["parent release", lineage.parent or "none, this is the first"],
        *([["the same student as release", lineage.again]] if lineage.again else []),
        ["round", f"{lineage.best_round} of {lineage.rounds}"],
        ["plan", _code(lineage.plan_digest)],
        ["teacher", _code(lineage.teacher_sha256)],
        ["participants", ", ".join(_code(digest) for digest in lineage.participants) or "n/a"],
        ["code", lineage.code_version],
        ["seed", "n/a" if lineage.seed is None else str(lineage.seed)],
    ]
    return f"## Where it comes from\n\n{_table(['', ''], rows)}"


def _artefacts(release: Release) -> str:
    rows = [[a.name, f"{a.size_bytes:,}", _code(a.sha256)] for a in release.artefacts]
    return f"## Files\n\n{_table(['file', 'bytes', 'SHA-256'], rows)}"


def _listed(names: Sequence[str]) -> str:
    words = [name.replace("_", " ") for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
