"""Building a release folder: all of it, gated, or nothing.

* The folder ``OUT/<version>`` appears in one rename after every file in it is on disk. A killed build leaves a hidden
  draft, which the next build of that version removes.
* A version is never rewritten. Building the very same release again is not an error (a resumed run does that); building
  another one under a used version is.
* A student that fails the gate leaves ``OUT/<version>.blocked/gate.json``, which is not a release and cannot be
  published as one, and an error that names the rule.
* Metrics, threshold and lineage come from the caller; what is measured here is the file: lint, parity, golden cases.
* An FP16 or INT8 variant is not built yet: the units we serve today run FP32 on ONNX Runtime.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eyebright_common.durable import move_into_place, write_bytes
from eyebright_common.errors import ReleaseError
from eyebright_common.release import (
    CARD_FILE,
    DECISION_BAND,
    GATE_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    RELEASE_FILE,
    RELEASE_SCHEMA,
    RESEARCH_NOTICE,
    GateReport,
    GoldenCases,
    Lineage,
    Metrics,
    Preprocessing,
    Release,
    StudentFacts,
    Threshold,
    compare,
    describe_artefact,
    read_gate,
    read_release,
    save_golden,
)
from eyebright_common.tasks import ScreeningTask
from eyebright_server.release.card import SiteData, render_card
from eyebright_server.release.export import export_student
from eyebright_server.release.gate import Findings, PreviousRelease, judge
from eyebright_server.release.lint import SIZE_BUDGET_BYTES, lint
from eyebright_server.release.parity import measure_parity
from eyebright_server.release.reference_runtime import ReferenceRuntime

if TYPE_CHECKING:
    from eyebright_learning.models import Student

_ARTEFACTS = (MODEL_FILE, GOLDEN_FILE, GATE_FILE, CARD_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """Everything a release says that the file itself does not tell.

    Attributes:
        version: Of the release, see ``next_version``.
        task: The screening task.
        preprocessing: How the student's pictures were prepared.
        threshold: The referral operating point, with its provenance.
        temperature: Logits are divided by it before the softmax.
        metrics: How good the student is on validation.
        lineage: What it was made from.
        golden_pixels: Prepared pictures for the golden cases, uint8 ``[K, S, S, 3]``; synthetic or the operator's own.
        must_refer: Golden cases that have to be referred, bool ``[K]``; when None, those that the file refers clearly.
        previous: The release before, measured on the same validation pictures.
        sites: What each hospital brought, for the card.
        limits: Known limits, for the card.
        size_budget_bytes: Largest ``model.onnx`` that units take.
    """

    version: str
    task: ScreeningTask
    preprocessing: Preprocessing
    threshold: Threshold
    temperature: float
    metrics: Metrics
    lineage: Lineage
    golden_pixels: npt.NDArray[np.uint8]
    must_refer: Sequence[bool] | None = None
    previous: PreviousRelease | None = None
    sites: Sequence[SiteData] = field(default_factory=tuple)
    limits: Sequence[str] = field(default_factory=tuple)
    size_budget_bytes: int = SIZE_BUDGET_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRelease:
    """A release on disk.

    Attributes:
        folder: Where it is.
        release: What it says.
        gate: What the gate found.
    """

    folder: Path
    release: Release
    gate: GateReport


def build_release(out: Path, student: Student, request: ReleaseRequest) -> BuiltRelease:
    """Export a student, gate it and write its release folder ``out/<version>``.

    Args:
        out: Folder of a task's releases; made if missing.
        student: The trained student.
        request: What the release says.

    Raises:
        ExportError: the graph breaks the release contract.
        ReleaseError: the gate blocks it, the request contradicts itself, or the version is taken by another release.
    """
    _check_request(request)
    draft = out / f".{request.version}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        gate = _write_model(draft, student, request)
        write_bytes(draft / GATE_FILE, gate.to_json())
        _block_unless_passed(gate, out / f"{request.version}.blocked")
        release = _describe(draft, student, request, gate)
        folder = _take_place(draft, out / request.version)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return BuiltRelease(folder=folder, release=release, gate=gate)


def open_release(folder: Path) -> BuiltRelease:
    """Return a release that was built before, verified.

    Raises:
        ReleaseError: there is none, or it is not one.
        TargetRejected: a file of it is not the one listed.
    """
    return BuiltRelease(folder=folder, release=read_release(folder), gate=read_gate(folder))


def _check_request(request: ReleaseRequest) -> None:
    pixels, size = request.golden_pixels, request.preprocessing.image_size
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3) or not len(pixels):
        raise ReleaseError(
            f"golden pictures must be uint8 [K, {size}, {size}, 3]",
            value=f"{pixels.dtype} {list(pixels.shape)}",
            fix="Prepare some of the operator's own pictures with the release's preprocessing.",
        )
    if request.must_refer is not None and len(request.must_refer) != len(pixels):
        raise ReleaseError("must-refer flags do not fit the golden pictures", value=len(request.must_refer))
    parent = request.lineage.parent
    if parent is not None and int(request.version) <= int(parent):
        raise ReleaseError(
            "a release's version must be above its parent's",
            value=f"{request.version}, parent {parent}",
            fix=f"Use {int(parent) + 1} or higher.",
        )


def _write_model(draft: Path, student: Student, request: ReleaseRequest) -> GateReport:
    """Write the model and its golden cases, and judge them."""
    size = request.preprocessing.image_size
    exported = export_student(student, image_size=size, path=draft / MODEL_FILE)
    runtime = ReferenceRuntime(draft / MODEL_FILE)
    inputs = np.ascontiguousarray(request.golden_pixels.transpose(0, 3, 1, 2))
    golden = _golden_cases(runtime, inputs, request)
    save_golden(draft / GOLDEN_FILE, golden)
    parity = measure_parity(student, runtime, inputs)
    return judge(
        Findings(
            lint=lint(
                exported.data, image_size=size, classes=len(request.task.classes), size_budget_bytes=len(exported.data)
            ),
            size_bytes=len(exported.data),
            size_budget_bytes=request.size_budget_bytes,
            parity=parity,
            golden=compare(parity.source_logits, golden),
            threshold=request.threshold,
            metrics=request.metrics.overall,
            previous=request.previous,
        )
    )


def _golden_cases(runtime: ReferenceRuntime, inputs: npt.NDArray[np.uint8], request: ReleaseRequest) -> GoldenCases:
    cases = GoldenCases(
        inputs=inputs,
        logits=runtime.logits_of(inputs),
        must_refer=np.zeros(len(inputs), dtype=bool),
        referable=np.asarray(request.task.referable_mask),
        threshold=request.threshold.value,
        temperature=request.temperature,
    )
    clear = cases.scores >= request.threshold.value + DECISION_BAND
    flags = clear if request.must_refer is None else np.asarray(request.must_refer, dtype=bool)
    return replace(cases, must_refer=flags)


def _block_unless_passed(gate: GateReport, blocked: Path) -> None:
    if not gate.passed:
        write_bytes(blocked / GATE_FILE, gate.to_json())
    gate.require()


def _describe(draft: Path, student: Student, request: ReleaseRequest, gate: GateReport) -> Release:
    """Write the card and ``release.json``; the card lists the files that were there before it."""
    parameters = sum(parameter.numel() for parameter in student.parameters())
    task = request.task
    release = Release.model_validate(
        {
            "schema": RELEASE_SCHEMA,
            "task": task.name,
            "version": request.version,
            "modality": task.modality,
            "classes": task.classes,
            "referable": tuple(name for name in task.classes if name in task.referable),
            "preprocessing": request.preprocessing,
            "temperature": request.temperature,
            "thresholds": (request.threshold,),
            "student": StudentFacts(arch=student.architecture, parameters=parameters),
            "metrics": request.metrics,
            "lineage": request.lineage,
            "artefacts": tuple(describe_artefact(draft / name) for name in (MODEL_FILE, GOLDEN_FILE, GATE_FILE)),
            "notice": RESEARCH_NOTICE,
        }
    )
    card = render_card(release, task=task, gate=gate, sites=request.sites, limits=request.limits)
    write_bytes(draft / CARD_FILE, card.encode())
    complete = release.model_copy(update={"artefacts": tuple(describe_artefact(draft / name) for name in _ARTEFACTS)})
    write_bytes(draft / RELEASE_FILE, complete.to_json())
    return read_release(draft)


def _take_place(draft: Path, folder: Path) -> Path:
    if folder.exists():
        if (folder / RELEASE_FILE).read_bytes() == (draft / RELEASE_FILE).read_bytes():
            read_release(folder)
            return folder
        raise ReleaseError(
            "this version is already taken by another release",
            value=folder,
            fix="Use the next version; none is rewritten.",
        )
    move_into_place(draft, folder)
    return folder
