"""Engines: compiled networks, what each was compiled for, and what a builder uploads for its twins.

TensorRT engines are not portable between GPUs, boards or TensorRT versions. So an engine is known by its *key*: the
digest of everything that it was made from and for. Any difference is another key, and another key is another engine.

* A **fingerprint** says which machine it is: board, its software, GPU, driver, TensorRT.
* **Twins** have the same fingerprint, in every word, and know all that matters of themselves. Nothing less: an engine
  that merely loads may compute something else.
* A **builder** compiles for its twins. It uploads an ``EngineUpload`` and the engine's bytes; ``check_engine_upload``
  and ``check_golden_results`` hold both against the release. They prove nothing by themselves: a twin runs the golden
  cases before it uses the engine.
* A signed engine stands beside the release it was built from, as two targets named by its key (``engine_file_names``):
  whoever speaks for the release speaks for it, and a unit finds it by the key that it would build itself.
* Nothing here runs an engine, and nothing in an upload can name a file, a patient or a picture.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from eyebright_common.digests import sha256_of
from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.errors import ReleaseError, TargetRejected
from eyebright_common.release.golden import FP32_TOLERANCE, GoldenCases, GoldenReport, compare
from eyebright_common.release.schema import MODEL_FILE, MODEL_FILES, Artefact, Release

ENGINE_SCHEMA: Literal["eyebright.engine/1"] = "eyebright.engine/1"
LARGEST_ENGINE_BYTES = 512 << 20
LONGEST_UPLOAD_BYTES = 256 << 10
_ENGINE_FILE = re.compile(r"engine-([0-9a-f]{64})\.(plan|json)")

UNKNOWN = "unknown"
# A twin must know these of itself; a board's system release is empty on what is no board.
_MUST_BE_KNOWN = ("machine", "board", "gpu", "compute_capability", "tensorrt")

Word = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[\x20-\x7e]+$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
EnginePrecision = Literal["fp32", "fp16"]


class Fingerprint(StrictDocument):
    """Which machine this is, as far as engines care; ``unknown`` where it cannot be found out.

    Attributes:
        machine: Architecture, e.g. ``aarch64``.
        board: The board's model, e.g. ``NVIDIA Jetson Nano Developer Kit``.
        system: Release of the board's own system, as it is written there; empty on what is no board.
        gpu: The GPU's name.
        compute_capability: Of the GPU, e.g. ``5.3``.
        cuda: What the driver speaks, thousands and tens: 12060 is 12.6.
        tensorrt: Full version.
    """

    machine: Word
    board: Word
    system: str = Field(max_length=200, pattern=r"^[\x20-\x7e]*$")
    gpu: Word
    compute_capability: str = Field(pattern=r"^([0-9]{1,2}\.[0-9]|unknown)$")
    cuda: int = Field(ge=0, le=10**6)
    tensorrt: Word

    def differences(self, other: Fingerprint) -> tuple[str, ...]:
        """Return the names of what is not the same there."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) != getattr(other, name))

    def is_twin(self, other: Fingerprint) -> bool:
        """Whether an engine built there may be tried here: the same in every word, and nothing of weight unknown."""
        known = all(getattr(self, name) != UNKNOWN for name in _MUST_BE_KNOWN)
        return known and not self.differences(other)


class EngineKey(StrictDocument):
    """Everything an engine was made from and for.

    Attributes:
        model_sha256: Digest of the network's file.
        fingerprint: The machine.
        precision: What it computes in.
        input_shape: Of the one input.
        flags: How it was built, sorted, e.g. ``refit``.
        adapter: Version of the code that builds.
    """

    model_sha256: Digest
    fingerprint: Fingerprint
    precision: EnginePrecision
    input_shape: tuple[int, ...] = Field(min_length=4, max_length=4)
    flags: tuple[Word, ...] = Field(default=(), max_length=16)
    adapter: int = Field(ge=1)

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        if list(self.flags) != sorted(set(self.flags)):
            raise ValueError("flags are sorted and each stands once")
        return self

    @property
    def digest(self) -> str:
        """The name of the engine: SHA-256 of all of this."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class EngineProof(StrictDocument):
    """How an engine did on the release's golden cases where it was built."""

    cases: int = Field(ge=1, le=10_000)
    max_abs_logit_difference: float = Field(ge=0.0)
    tolerance: float = Field(gt=0.0)
    decision_flips: Literal[0]

    @model_validator(mode="after")
    def _passed(self) -> Self:
        if self.max_abs_logit_difference > self.tolerance:
            raise ValueError("the engine fails its golden cases")
        return self

    @classmethod
    def of(cls, report: GoldenReport) -> EngineProof:
        """Return the proof in a report that passed.

        Raises:
            GoldenMismatch: it did not pass.
        """
        report.require("the engine")
        return cls(
            cases=report.cases,
            max_abs_logit_difference=report.max_abs_logit_difference,
            tolerance=report.tolerance,
            decision_flips=0,
        )


class EngineUpload(StrictDocument):
    """What a builder sends with an engine.

    Attributes:
        schema_: Version of this document's shape.
        builder: The builder's name, as in its certificate.
        task: Of the release.
        version: Of the release.
        key: What the engine was made from and for.
        sha256: Digest of the engine.
        size_bytes: Its length.
        build_seconds: How long it took.
        proof: How it did on the golden cases.
        golden_logits: What it gave for each golden case, ``[K][C]``.
    """

    schema_: Literal["eyebright.engine/1"] = Field(default=ENGINE_SCHEMA, alias="schema")
    builder: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    task: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str = Field(pattern=r"^[1-9][0-9]{0,8}$")
    key: EngineKey
    sha256: Digest
    size_bytes: int = Field(ge=1, le=LARGEST_ENGINE_BYTES)
    build_seconds: float = Field(ge=0.0, le=86_400.0)
    proof: EngineProof
    golden_logits: tuple[tuple[float, ...], ...] = Field(min_length=1, max_length=10_000)


def parse_engine_upload(data: bytes) -> EngineUpload:
    """Return the upload that ``data`` describes.

    Raises:
        ReleaseError: it is too long, no such document, or says of itself that it is no good.
    """
    if len(data) > LONGEST_UPLOAD_BYTES:
        raise ReleaseError("an engine's description is too long", value=len(data), fix="Build the engine again.")
    try:
        return EngineUpload.model_validate_json(data)
    except ValidationError as error:
        problem = problems_of(error, whole="engine")[0]
        raise ReleaseError("an engine's description breaks its schema", value=problem, fix="Build it again.") from None


def check_engine_description(upload: EngineUpload, release: Release) -> None:
    """Do nothing when an engine is, by its description, of this release.

    Args:
        upload: Its description.
        release: The release, verified.

    Raises:
        ReleaseError: it is of another release or network, or was held to another tolerance.
    """
    fix = "Build the engine again from the release that is published."
    if (upload.task, upload.version) != (release.task, release.version):
        named = f"{upload.task} {upload.version}, expected {release.task} {release.version}"
        raise ReleaseError("the engine is of another release", value=named, fix=fix)
    if upload.key.model_sha256 not in {artefact.sha256 for artefact in engine_sources(release, upload.key.precision)}:
        raise ReleaseError("the engine is of another network", value=upload.key.model_sha256, fix=fix)
    size = release.preprocessing.image_size
    if upload.key.input_shape != (1, 3, size, size):
        raise ReleaseError("the engine takes another picture", value=list(upload.key.input_shape), fix=fix)
    allowed = golden_tolerance(release, upload.key.precision)
    if upload.proof.tolerance > allowed:
        value = f"{upload.proof.tolerance:.3g}, the release allows {allowed:.3g}"
        raise ReleaseError("the engine was held to a wider tolerance", value=value, fix=fix)


def check_engine_upload(upload: EngineUpload, engine: Path, release: Release) -> None:
    """Do nothing when an uploaded engine is what it says, and is of this release.

    Args:
        upload: Its description.
        engine: Its bytes.
        release: The release, verified.

    Raises:
        ReleaseError: it is of another release or network, or was held to another tolerance.
        TargetRejected: the bytes are not those described.
    """
    check_engine_description(upload, release)
    fix = "Build the engine again from the release that is published."
    if not engine.is_file() or engine.is_symlink() or engine.stat().st_size != upload.size_bytes:
        raise TargetRejected("the engine does not have the described length", value=engine.name, fix=fix)
    if sha256_of(engine) != upload.sha256:
        raise TargetRejected("the engine is not the one described (SHA-256 differs)", value=engine.name, fix=fix)


def check_golden_results(upload: EngineUpload, golden: GoldenCases, release: Release) -> None:
    """Do nothing when the logits that a builder sent pass the release's golden cases, counted again here.

    Args:
        upload: Its description.
        golden: The release's golden cases.
        release: The release, verified.

    Raises:
        ReleaseError: they are of other cases.
        GoldenMismatch: they fail.
    """
    shape = (len(upload.golden_logits), len(upload.golden_logits[0]))
    if shape != golden.logits.shape or {len(row) for row in upload.golden_logits} != {shape[1]}:
        found = f"{shape[0]} cases of {shape[1]} classes, the release has {golden.logits.shape}"
        raise ReleaseError("the golden results are of other cases", value=found, fix="Build the engine again.")
    allowed = replace(golden, tolerance=max(golden.tolerance, golden_tolerance(release, upload.key.precision)))
    report = compare(np.asarray(upload.golden_logits, np.float64), allowed, release.threshold.value)
    report.require(f"the engine of {upload.builder}")


def engine_file_names(key_digest: str) -> tuple[str, str]:
    """Return how the files of a signed engine are called beside its release: the engine, and its description."""
    return f"engine-{key_digest}.plan", f"engine-{key_digest}.json"


def engine_key_of(file: str) -> str | None:
    """Return the digest of the key of which ``file`` is the engine or its description; None when it is neither."""
    match = _ENGINE_FILE.fullmatch(file)
    return match.group(1) if match else None


def engine_sources(release: Release, precision: EnginePrecision) -> tuple[Artefact, ...]:
    """Return the artefacts an engine of a precision may have been built from.

    FP16 comes from the FP32 network with a builder flag up to TensorRT 10, from the FP16 network from 11 on.
    """
    names = {MODEL_FILE, MODEL_FILES[precision]}
    return tuple(artefact for artefact in release.artefacts if artefact.name in names)


def golden_tolerance(release: Release, precision: EnginePrecision) -> float:
    """Return how far golden logits may be apart in a precision."""
    variant = release.variant(precision)
    return FP32_TOLERANCE if variant is None else max(FP32_TOLERANCE, variant.golden_tolerance)
