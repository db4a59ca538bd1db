"""The four documents of change control that every release carries, made from what is known and nothing else.

``modifications.md`` (what changed since the release before), ``protocol.md`` (how data, training, evaluation and update
are done and what a release is held to), ``impact.md`` (what the change may do to patients, and what holds it in check),
``monitoring.md`` (what is watched in the field and when a rollout stops). The set follows the parts of a predetermined
change-control plan; it claims no conformity with anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from eyebright_common.release import GateReport, Release
from eyebright_common.release.evidence import SiteEvidence
from eyebright_common.release.rollout import STOP_RULES
from eyebright_common.tasks import ScreeningTask
from eyebright_server.release.gate_words import rule_table, shown
from eyebright_server.release.markdown import bullets, code, table

_NO_RULE = "none of the rules"


def change_documents(
    release: Release, gate: GateReport, evidence: Sequence[SiteEvidence], *, task: ScreeningTask
) -> dict[str, str]:
    """Return the documents by file name, Markdown.

    Args:
        release: What ships.
        gate: What the gate found.
        evidence: What sites found.
        task: The release's task.
    """
    return {
        "modifications.md": modifications(release),
        "protocol.md": _page(release, "how it is made and judged", _protocol(release, gate, task)),
        "impact.md": _page(release, "what the change may do", _impact(release, gate, evidence)),
        "monitoring.md": _page(release, "what is watched", _monitoring(release)),
    }


def modifications(release: Release) -> str:
    """Return ``modifications.md`` of a release."""
    return _page(release, "what changed", _modifications(release))


def _page(release: Release, title: str, body: Sequence[str]) -> str:
    head = f"# {release.task} release {release.version}: {title}"
    return "\n\n".join((head, f"**{release.notice}**", *body)) + "\n"


def _modifications(release: Release) -> list[str]:
    lineage = release.lineage
    if lineage.again is not None:
        changed = f"The student of release {lineage.again}, brought back under a new version. No weight is new."
    elif lineage.parent is None:
        changed = "The first release of this task; there is nothing before it."
    else:
        changed = (
            f"New weights of the same kind of network, trained further than release {lineage.parent}. Task, classes,\n"
            "preprocessing and decision rules are those of the software that the release names."
        )
    rows = [
        ["release before", lineage.parent or "none"],
        ["network", f"{release.student.arch}, {release.student.parameters:,} parameters"],
        ["weights", code(release.artefact("model.onnx").sha256)],
        ["round", f"{lineage.best_round} of {lineage.rounds}"],
        ["plan that hospitals approved", code(lineage.plan_digest)],
        ["teacher", code(lineage.teacher_sha256)],
        ["hospitals", f"{len(lineage.participants)}"],
        ["preprocessing", f"`{release.preprocessing.id}`, {release.preprocessing.image_size} px"],
        ["operating point", f"{release.threshold.value:.4f}, temperature {release.temperature:.4f}"],
        ["precisions", ", ".join(["fp32", *(variant.precision for variant in release.variants)])],
        ["software", lineage.code_version],
    ]
    return [changed, table(["", ""], rows)]


def _protocol(release: Release, gate: GateReport, task: ScreeningTask) -> list[str]:
    origin = release.threshold.provenance
    limits = [[rule.title, shown(rule.limit)] for rule in gate.rules if rule.limit is not None]
    return [
        "## Data\n\n"
        f"Pictures of {', '.join(task.classes)}, of which {', '.join(sorted(task.referable))} are referred.\n"
        "They stay in the hospitals. A patient, with near-duplicates, is in one split only; what is unreadable or\n"
        "ungradable is counted, and nothing is skipped without being counted.",
        "## Training\n\n"
        "Rounds under one plan, which every hospital approves by its digest. Replies are checked one by one,\n"
        "averaged, and evaluated at every hospital; the best round on validation is taken. What counts is in a\n"
        "hash-chained ledger.",
        "## Evaluation\n\n"
        f"Threshold chosen on {origin.split} ({origin.rule});\n"
        "judged on test data, on the file that ships, with the code that units run. Gate policy version\n"
        f"{gate.policy.version}, profile `{gate.policy.profile}`, digest `{gate.policy.sha256}`.\n\n"
        f"{table(['rule', 'allowed'], limits)}",
        "## Update\n\n"
        "Signed by a threshold of offline keys; a unit verifies every file, runs the golden cases on its own hardware\n"
        "and keeps the release before until then. A model never changes within a visit. Going back is a new, higher\n"
        "version with the old files.",
    ]


def _impact(release: Release, gate: GateReport, evidence: Sequence[SiteEvidence]) -> list[str]:
    unsure = [rule for rule in gate.rules if rule.verdict == "insufficient data"]
    failed = [rule for rule in gate.rules if rule.verdict == "fail"]
    risks = [
        [
            "a disease is missed",
            "floors, paired comparison, harm at a site, must-refer cases; the prints say what is not seen",
        ],
        ["a healthy patient is sent on", "specificity floors; referral rate watched in the field"],
        ["a picture nobody can grade passes as healthy", "ungradable is never a negative; counted as referred"],
        ["the student is worse for some people", "parts by age, sex, camera and eye, as far as they are told"],
        ["the file computes something else on a unit", "golden cases on every unit, for each precision, before use"],
        ["small losses add up", "the first release stays the second yardstick and never moves"],
    ]
    override = gate.override
    overridden = (
        f"{override.operator} overrode {', '.join(override.rules)} on {override.time}: {override.reason}"
        if override
        else "No rule was overridden."
    )
    return [
        table(["what may go wrong", "what holds it in check"], risks),
        f"## What the data could not say\n\n{bullets([f'{r.title}: {r.note}' for r in unsure]) or _NO_RULE}",
        f"## What failed\n\n{bullets([f'{r.title}: {r.note}' for r in failed]) or _NO_RULE}",
        f"## Overrides\n\n{overridden}",
        f"Judged on {sum(one.outcomes.n for one in evidence):,} cases of {len(evidence)} sites.",
        f"## All rules\n\n{rule_table(gate)}",
    ]


def _monitoring(release: Release) -> list[str]:
    return [
        "Units report counts: patients by answer, pictures, the state of their last update, whether the golden cases\n"
        "passed. Never a picture, a name or a score. Rates of units that run this release are held against control\n"
        "limits of the units that do not yet (p-chart, three deviations).",
        table(["what is watched", "the rollout stops when"], [[rule.title, rule.words] for rule in STOP_RULES]),
        "A stopped rollout reaches no further unit. The operator promotes, or brings the release before back under a\n"
        f"new version: `eyebright server release rollback OPERATOR {release.task}`. Every step is in the ledger.",
    ]
