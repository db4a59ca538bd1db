"""Stage 5: the best round becomes a release: exported, gated, described, signed and published.

The gate judges the file that ships on the hospitals' test patients, under the policy's ``rehearsal`` profile: every
rule is measured and shown, and what says nothing about drawn pictures holds nothing back.

The operator's folder (authority, keys, repository, ledger) is made here, as `eyebright server init` makes it.
"""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from eyebright_common import __version__
from eyebright_common.durable import write_json
from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.release import (
    MODEL_FILE,
    RELEASE_FILE,
    Eye,
    GateRule,
    Lineage,
    Metrics,
    Preprocessing,
    Release,
    sha256_of,
)
from eyebright_common.release.evidence import SiteEvidence
from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_learning.evaluation import Threshold
from eyebright_server.distribution import OperatorFolder
from eyebright_server.release.build import BuiltRelease, build_release, open_release
from eyebright_server.release.candidate import ReleaseRequest
from eyebright_server.release.card import SiteData
from eyebright_server.release.operating_point import shipped_threshold
from eyebright_server.release.policy import REHEARSAL, gate_policy
from eyebright_server.release.reference_runtime import ReferenceRuntime
from eyebright_server.release.site_evidence import About, Answered, evidence_of
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import OPERATOR_HOLDER, TEST, TRAIN, VALIDATION, Dataset
from eyebright_simulations.network.training import student_with
from eyebright_simulations.network.workspace import Facts

GOLDEN_CASES = 12
VARIANT_PICTURES = 64
VERSION = "1"


def operator_folder(out: Path) -> Path:
    """Where the operator's authority, keys, repository and ledger are."""
    return out / "server"


def publish(context: Context) -> Facts:
    """Build, gate and publish the release, and write what happened into the ledger."""
    dataset = Dataset.load(context.out / "work")
    task = get_task(context.facts["cohort"]["task"])
    # With the plan beside its rounds, `eyebright server release build` takes the run as any other.
    write_json(context.out / "arms" / "federated" / "plan.json", context.facts["rounds"]["plan"])
    context.update(0.1, "export, parity, gate")
    built = _built(context, dataset, task)
    context.update(0.8, "sign and publish")
    with _operator(context.out) as operator:
        operator.repository.publish(built.folder)
        for kind, payload in _history(context, built):
            operator.records.append(kind, payload, now=datetime.now(UTC))
        head = operator.records.verify_ledger()
    description = built.folder / RELEASE_FILE
    artefacts = [artefact.model_dump() for artefact in built.release.artefacts]
    return {
        "version": built.release.version,
        "folder": str(built.folder.relative_to(context.out)),
        "sha256": sha256_of(description),
        "artefacts": artefacts,
        "gate": {"passed": built.gate.passed, "rules": [_shown(rule) for rule in built.gate.rules]},
        "threshold": built.release.threshold.model_dump(),
        "temperature": built.release.temperature,
        "model_bytes": built.release.artefact("model.onnx").size_bytes,
        "total_bytes": sum(a.size_bytes for a in built.release.artefacts) + description.stat().st_size,
        "ledger": {"entries": head.entries, "head": head.hash},
    }


def _built(context: Context, dataset: Dataset, task: ScreeningTask) -> BuiltRelease:
    folder = context.out / "releases" / task.name
    if (folder / VERSION / RELEASE_FILE).exists():
        return open_release(folder / VERSION)
    weights = load_file(context.out / "arms" / "federated" / "student.safetensors")
    return build_release(
        folder,
        student_with(context, weights),
        _request(context, dataset, task),
        policy=gate_policy(REHEARSAL),
        measure=partial(_test_evidence, dataset, task),
        looks=1,
    )


def _test_evidence(dataset: Dataset, task: ScreeningTask, folder: Path, release: Release) -> list[SiteEvidence]:
    """Run the file that ships over every hospital's test patients, ungradable pictures counted; counts come back."""
    runtime = ReferenceRuntime(folder / MODEL_FILE)
    evidence = []
    for holder, site in enumerate(dataset.hospitals):
        pictures = [p for p in dataset.pictures if p.split == TEST and p.holder == holder]
        answered = [
            Answered(
                patient=picture.patient,
                eye=Eye(picture.eye),
                label=picture.label,
                candidate=None
                if picture.image < 0
                else runtime.logits_of(dataset.images.pixels[picture.image].transpose(2, 0, 1)[None])[0],
            )
            for picture in pictures
        ]
        about = About(
            site=site,
            task=task,
            release=release,
            model_sha256=release.artefact(MODEL_FILE).sha256,
            data_digest=dataset.part(holder, TEST).digest(),
        )
        evidence.append(evidence_of(answered, about))
    return evidence


def _shown(rule: GateRule) -> Facts:
    """What the report shows of a rule; it knows no verdict between pass and fail, so the note says it."""
    told = "" if rule.passed or rule.blocks else f"{rule.verdict}, which holds no rehearsal back: "
    about = f"{rule.about}: " if rule.about else ""
    return {
        "name": rule.name,
        "value": rule.value,
        "limit": rule.limit,
        "passed": rule.passed,
        "n": rule.n,
        "note": f"{told}{about}{rule.note}",
    }


def _request(context: Context, dataset: Dataset, task: ScreeningTask) -> ReleaseRequest:
    rounds = context.facts["rounds"]
    chosen = Threshold.model_validate(rounds["threshold"])
    cohort = context.facts["cohort"]
    return ReleaseRequest(
        version=VERSION,
        task=task,
        preprocessing=Preprocessing(id=PREPROCESSING_ID, image_size=context.options.pixels),
        threshold=shipped_threshold(chosen, split="validation"),
        temperature=1.0,
        metrics=Metrics(split="validation", overall=rounds["validation"], sites=rounds["site_validation"]),
        lineage=Lineage(
            rounds=len(rounds["rounds"]),
            best_round=rounds["best_round"],
            plan_digest=rounds["plan_digest"],
            teacher_sha256=context.facts["teacher"]["sha256"],
            participants=tuple(sorted(_participant(dataset, index) for index in range(len(dataset.hospitals)))),
            code_version=__version__,
            parent=None,
            seed=context.options.seed,
        ),
        golden_pixels=_operator_pixels(dataset, len(task.classes), GOLDEN_CASES),
        variant_pixels=_operator_pixels(dataset, len(task.classes), VARIANT_PICTURES),
        sites=tuple(
            SiteData(name=h["name"], train=h["train"], validation=h["validation"], labels=h["labels"])
            for h in cohort["hospitals"]
        ),
        limits=_limits(context),
    )


def _participant(dataset: Dataset, holder: int) -> str:
    """Digest of what a hospital trained on: names its part in the lineage without naming a patient."""
    return hashlib.sha256(dataset.part(holder, TRAIN).digest().encode()).hexdigest()


def _operator_pixels(dataset: Dataset, classes: int, count: int) -> NDArray[np.uint8]:
    """Take the same number of pictures of each class from the operator's own validation pictures."""
    images = dataset.part(OPERATOR_HOLDER, VALIDATION)
    each = max(1, count // classes)
    chosen = [row for label in range(classes) for row in np.flatnonzero(images.labels == label)[:each]]
    return images.pixels[chosen]


def _limits(context: Context) -> tuple[str, ...]:
    if context.options.synthetic:
        return ("Trained on drawn pictures: it shows that the network works, and says nothing about patients.",)
    return ("Rehearsed on one machine; the labels are those of the collection that was given.",)


def _operator(out: Path) -> OperatorFolder:
    """Open the operator's folder, or make it; one whose making was interrupted is made again."""
    folder = operator_folder(out)
    if not (folder / "server.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        return OperatorFolder.create(folder)
    return OperatorFolder.open(folder)


def _history(context: Context, built: BuiltRelease) -> list[tuple[str, dict[str, object]]]:
    """What the ledger says of this run, in order; numbers and digests only."""
    rounds = context.facts["rounds"]
    closed: list[tuple[str, dict[str, object]]] = [
        (
            "round-closed",
            {
                "round": record["round"],
                "accepted": list(record["accepted"]),
                "quarantined": [[setback["site"], setback["reason"]] for setback in record["quarantined"]],
                "weights_sha256": record["weights_sha256"],
            },
        )
        for record in rounds["rounds"]
    ]
    return [
        ("plan-accepted", {"plan_digest": rounds["plan_digest"]}),
        *closed,
        (
            "gate-passed",
            {
                "task": built.release.task,
                "version": built.release.version,
                "rules": len(built.gate.rules),
                "policy": built.gate.policy.model_dump(),
            },
        ),
        ("release-published", {"task": built.release.task, "version": built.release.version}),
    ]
