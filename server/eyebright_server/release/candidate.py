"""A candidate: the files of a release-to-be, what was measured on them, and nothing that has been judged yet.

::

    model.onnx, model.fp16.onnx, model.int8.onnx, golden.npz
    candidate.json      the release as it would be described, what was measured, what the rounds said; written last

A candidate is not a release: no unit reads it and nothing signs it. The gate makes one of it, or does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import onnx
from pydantic import Field, ValidationError

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import ExportError, ReleaseError
from eyebright_common.release import (
    DECISION_BAND,
    GOLDEN_FILE,
    MODEL_FILE,
    RELEASE_SCHEMA,
    RESEARCH_NOTICE,
    GoldenCases,
    Lineage,
    Metrics,
    Precision,
    Preprocessing,
    Release,
    StudentFacts,
    Threshold,
    compare,
    describe_artefact,
    read_release,
    save_golden,
    verify_artefact,
)
from eyebright_common.release.evidence import MustRefer, SiteEvidence
from eyebright_common.tasks import ScreeningTask
from eyebright_server.release.card import SiteData
from eyebright_server.release.export import export_student
from eyebright_server.release.gate import FileFindings, VariantFindings
from eyebright_server.release.lint import lint
from eyebright_server.release.parity import measure_parity
from eyebright_server.release.reference_runtime import Pixels, ReferenceRuntime
from eyebright_server.release.variants import Yardstick, make_variant

if TYPE_CHECKING:
    from eyebright_learning.models import Student

CANDIDATE_FILE = "candidate.json"
VARIANTS: tuple[Precision, ...] = ("fp16", "int8")


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
        variant_pixels: Prepared pictures to calibrate and measure variants on, uint8 ``[N, S, S, 3]``, under the same
            conditions; the golden ones when None.
        variants: Which are made.
        incumbent: Folder of the release before; None for the first.
        validation: What hospitals counted in the best round.
        sites: What each hospital brought, for the card.
        limits: Known limits, for the card.
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
    variant_pixels: npt.NDArray[np.uint8] | None = None
    variants: Sequence[Precision] = VARIANTS
    incumbent: Path | None = None
    validation: Sequence[SiteEvidence] = field(default_factory=tuple)
    sites: Sequence[SiteData] = field(default_factory=tuple)
    limits: Sequence[str] = field(default_factory=tuple)


class Candidate(StrictDocument):
    """``candidate.json``.

    Attributes:
        schema_: Version of this document's shape.
        release: The release as it would be described; its artefacts are the files that lie here.
        files: What was measured on them.
        validation: What hospitals counted in the best round.
        sites: What each hospital brought.
        limits: Known limits.
    """

    schema_: Literal["eyebright.candidate/1"] = Field(alias="schema", default="eyebright.candidate/1")
    release: Release
    files: FileFindings
    validation: tuple[SiteEvidence, ...] = ()
    sites: tuple[SiteData, ...] = ()
    limits: tuple[str, ...] = ()


def make_candidate(folder: Path, student: Student, request: ReleaseRequest) -> Candidate:
    """Export a student with its variants into ``folder``, measure the files and describe them.

    Raises:
        ExportError: the graph breaks the release contract.
        ReleaseError: the request contradicts itself.
    """
    _check_request(request)
    size = request.preprocessing.image_size
    exported = export_student(student, image_size=size, path=folder / MODEL_FILE)
    runtime = ReferenceRuntime(folder / MODEL_FILE)
    golden = _golden_cases(runtime, _channels_first(request.golden_pixels), request)
    save_golden(folder / GOLDEN_FILE, golden)
    variants = _write_variants(folder, exported.data, runtime, request)
    parity = measure_parity(student, runtime, golden.inputs)
    finite = np.isfinite(parity.max_abs_logit_difference)
    findings = FileFindings(
        lint=lint(
            exported.data, image_size=size, classes=len(request.task.classes), size_budget_bytes=len(exported.data)
        ),
        size_bytes=len(exported.data),
        parity_pictures=parity.pictures,
        max_abs_logit_difference=parity.max_abs_logit_difference if finite else None,
        max_abs_cam_difference=parity.max_abs_cam_difference if np.isfinite(parity.max_abs_cam_difference) else None,
        golden_cases=len(golden.inputs),
        golden_flips=compare(
            parity.source_logits, replace(golden, must_refer=np.zeros_like(golden.must_refer))
        ).decision_flips,
        golden_must_refer=_must_refer(golden),
        variants=variants,
        same_weight_names=_same_names(exported.weight_names, student.architecture, request.incumbent),
    )
    candidate = Candidate(
        release=_described(folder, student, request, variants),
        files=findings,
        validation=tuple(request.validation),
        sites=tuple(request.sites),
        limits=tuple(request.limits),
    )
    write_bytes(folder / CANDIDATE_FILE, candidate.to_json())
    return candidate


def read_candidate(folder: Path) -> Candidate:
    """Return the candidate in ``folder``, its files verified.

    Raises:
        ReleaseError: there is none, or it cannot be read.
        TargetRejected: a file of it is not the one that was measured.
    """
    path = folder / CANDIDATE_FILE
    fix = "Build it with: eyebright server release build"
    try:
        candidate = Candidate.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReleaseError("there is no candidate here", value=folder, fix=fix) from error
    except ValidationError as error:
        problem = problems_of(error, whole="candidate")[0]
        raise ReleaseError("the candidate cannot be read", value=f"{path}: {problem}", fix=fix) from None
    for artefact in candidate.release.artefacts:
        verify_artefact(folder, artefact)
    return candidate


def _check_request(request: ReleaseRequest) -> None:
    size = request.preprocessing.image_size
    for pixels in (request.golden_pixels, request.variant_pixels):
        if pixels is None:
            continue
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3) or not len(pixels):
            raise ReleaseError(
                f"golden pictures must be uint8 [K, {size}, {size}, 3]",
                value=f"{pixels.dtype} {list(pixels.shape)}",
                fix="Prepare some of the operator's own pictures with the release's preprocessing.",
            )
    if request.must_refer is not None and len(request.must_refer) != len(request.golden_pixels):
        raise ReleaseError("must-refer flags do not fit the golden pictures", value=len(request.must_refer))
    parent = request.lineage.parent
    if parent is not None and int(request.version) <= int(parent):
        raise ReleaseError(
            "a release's version must be above its parent's",
            value=f"{request.version}, parent {parent}",
            fix=f"Use {int(parent) + 1} or higher.",
        )


def _channels_first(pixels: npt.NDArray[np.uint8]) -> Pixels:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _golden_cases(runtime: ReferenceRuntime, inputs: Pixels, request: ReleaseRequest) -> GoldenCases:
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


def _must_refer(golden: GoldenCases) -> MustRefer:
    missed = golden.must_refer & (golden.scores < golden.threshold)
    return MustRefer(cases=int(golden.must_refer.sum()), missed=int(missed.sum()))


def _write_variants(
    folder: Path, data: bytes, runtime: ReferenceRuntime, request: ReleaseRequest
) -> tuple[VariantFindings, ...]:
    pixels = _channels_first(request.golden_pixels if request.variant_pixels is None else request.variant_pixels)
    yardstick = Yardstick(
        pixels=pixels,
        logits=runtime.logits_of(pixels),
        referable=request.task.referable_mask,
        temperature=request.temperature,
        threshold=request.threshold.value,
        band=DECISION_BAND,
    )
    found = []
    for precision in request.variants:
        variant = make_variant(data, precision, yardstick)
        write_bytes(folder / variant.facts.file, variant.data)
        found.append(VariantFindings(facts=variant.facts, lint=variant.lint))
    return tuple(found)


def _same_names(names: tuple[str, ...], architecture: str, incumbent: Path | None) -> bool | None:
    """Compare the weights' names with those of the release before; None where that says nothing."""
    if incumbent is None or read_release(incumbent).student.arch != architecture:
        return None
    try:
        before = onnx.load(incumbent / MODEL_FILE)
    except Exception as error:  # protobuf's errors share no base class with onnx's
        raise ExportError("the model of the release before cannot be read", value=incumbent) from error
    return names == tuple(tensor.name for tensor in before.graph.initializer)


def _described(folder: Path, student: Student, request: ReleaseRequest, variants: Sequence[VariantFindings]) -> Release:
    task = request.task
    files = (MODEL_FILE, *(variant.facts.file for variant in variants), GOLDEN_FILE)
    return Release.model_validate(
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
            "student": StudentFacts(
                arch=student.architecture, parameters=sum(parameter.numel() for parameter in student.parameters())
            ),
            "metrics": request.metrics,
            "lineage": request.lineage,
            "artefacts": tuple(describe_artefact(folder / name) for name in files),
            "variants": tuple(variant.facts for variant in variants),
            "notice": RESEARCH_NOTICE,
        }
    )
