"""``release.json``: what a release says about itself.

* ``schema`` names the version of this file; another version is refused by name, never guessed at.
* Nothing unknown, nothing missing, no silent conversion: the file is read strictly. What may be unknown is ``null``.
* A version is a positive whole number written in decimal, one higher than any before it for the same task. It orders
  releases and nothing else: how good one is stands in ``metrics`` and ``gate.json``. A rollback is a new, higher
  version.
* Artefact names are plain file names inside the release's own folder, each listed once, with size and SHA-256.
* A threshold carries the split it was chosen on; only ``validation`` passes the gate.
* Variants are the same student in less precision. ``model.onnx`` is always there and is what was judged; a variant
  lists what it loses against it, and how far a unit's golden cases may then be apart.
* Participants are named by digest: a release tells what it was made from, never by whom a patient was treated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.errors import ReleaseError

RELEASE_SCHEMA: Literal["eyebright.release/1"] = "eyebright.release/1"
RELEASE_FILE = "release.json"
MODEL_FILE = "model.onnx"
GOLDEN_FILE = "golden.npz"
CARD_FILE = "card.md"
GATE_FILE = "gate.json"
GATE_PAGE = "gate.html"
CHANGE_FILES = ("modifications.md", "protocol.md", "impact.md", "monitoring.md")
REQUIRED_ARTEFACTS = (MODEL_FILE, GOLDEN_FILE)
REFERABLE_PURPOSE = "referable"
RESEARCH_NOTICE = "Research use. Not for diagnosis."

_ARTEFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")

Precision = Literal["fp32", "fp16", "int8"]
MODEL_FILES: dict[Precision, str] = {"fp32": MODEL_FILE, "fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Artefact(StrictDocument):
    """One file of the release.

    Attributes:
        name: Plain file name inside the release's folder.
        sha256: Hexadecimal SHA-256 of its bytes.
        size_bytes: Its exact length.
    """

    name: str = Field(max_length=100)
    sha256: Sha256
    size_bytes: int = Field(ge=1)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not _ARTEFACT_NAME.fullmatch(name) or name.lower() == RELEASE_FILE:
            raise ValueError("an artefact is a plain file name (letters, digits, '.', '_', '-'), not release.json")
        return name


class Preprocessing(StrictDocument):
    """How a picture becomes the model's input.

    Attributes:
        id: ``imaging.PREPROCESSING_ID`` of the code that trained the student.
        image_size: Side of the square input, pixels.
    """

    id: str = Field(min_length=1)
    image_size: int = Field(ge=16, le=2048)


class Provenance(StrictDocument):
    """Where a threshold comes from.

    Attributes:
        split: The data it was chosen on; a release may only ship one chosen on ``validation``.
        rule: How it was chosen, for people, e.g. ``highest threshold with sensitivity >= 0.87``.
        images: How many pictures it was chosen on.
        positives: How many of them were referable.
        sensitivity: Sensitivity on those pictures.
        specificity: Specificity on those pictures.
    """

    split: str = Field(min_length=1)
    rule: str = Field(min_length=1)
    images: int = Field(ge=0)
    positives: int = Field(ge=0)
    sensitivity: Probability | None = None
    specificity: Probability | None = None


class Threshold(StrictDocument):
    """One operating point: ``purpose`` says of what, ``value`` is compared with the calibrated score."""

    purpose: str = Field(min_length=1)
    value: Probability
    provenance: Provenance


class StudentFacts(StrictDocument):
    """The network: architecture name and number of parameters."""

    arch: str = Field(min_length=1)
    parameters: int = Field(ge=1)


class Metrics(StrictDocument):
    """How good the release is, as measured before it shipped.

    Attributes:
        split: Which pictures ``overall`` and ``sites`` were measured on.
        overall: The metrics of all sites together.
        sites: The same, per hospital; a name here is the hospital's public name.
        others: The same metrics on further collections, by name.
    """

    split: str = Field(min_length=1)
    overall: dict[str, JsonValue]
    sites: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    others: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


class VariantFacts(StrictDocument):
    """A variant against ``model.onnx``, measured in ONNX Runtime on the server.

    Attributes:
        precision: Of its weights and arithmetic.
        file: Its name in the release.
        size_bytes: Its length.
        size_ratio: That length over the length of ``model.onnx``.
        pictures: On how many pictures the rest was measured.
        max_abs_logit_difference: Largest difference of a logit; None when an output was not a finite number.
        max_abs_score_difference: Largest difference of a referable score.
        mean_abs_score_difference: Mean of those.
        changed_decisions: Pictures of which the decision at the shipped threshold changed.
        changed_outside_band: Those of them whose score is not within the golden band around the threshold.
        golden_tolerance: Largest difference of a logit that a unit's golden cases may show with this variant.
        milliseconds_per_picture: One thread of the server, median.
        speed_ratio: How many times as fast as ``model.onnx`` on the same machine.
    """

    precision: Precision
    file: str = Field(max_length=100)
    size_bytes: int = Field(ge=1)
    size_ratio: float = Field(gt=0.0)
    pictures: int = Field(ge=1)
    max_abs_logit_difference: float | None = Field(ge=0.0)
    max_abs_score_difference: Probability
    mean_abs_score_difference: Probability
    changed_decisions: int = Field(ge=0)
    changed_outside_band: int = Field(ge=0)
    golden_tolerance: float = Field(gt=0.0)
    milliseconds_per_picture: float = Field(gt=0.0)
    speed_ratio: float = Field(gt=0.0)


class Lineage(StrictDocument):
    """What the release was made from.

    Attributes:
        rounds: How many rounds the run had.
        best_round: The round whose weights these are.
        plan_digest: SHA-256 of the plan that hospitals approved.
        teacher_sha256: Digest of the teacher, None when there was none.
        participants: One digest per hospital that took part, sorted.
        code_version: Version of this distribution.
        parent: Version of the release before this one, None for the first.
        seed: Seed of the run.
        again: Version of the older release that this one brings back, None for a new student.
    """

    rounds: int = Field(ge=0)
    best_round: int = Field(ge=0)
    plan_digest: Sha256 | None = None
    teacher_sha256: Sha256 | None = None
    participants: tuple[str, ...] = ()
    code_version: str = Field(min_length=1)
    parent: str | None = None
    seed: int | None = None
    again: str | None = None


class Release(StrictDocument):
    """The content of ``release.json``.

    Attributes:
        schema_: Version of this file's shape; spelt ``schema`` in JSON.
        task: Name of the screening task.
        version: Decimal whole number, see the module's note.
        modality: ``CFP`` or ``OCT``.
        classes: Class names in logit order.
        referable: The classes for which a patient is sent on.
        preprocessing: How a picture becomes the model's input.
        temperature: Logits are divided by it before the softmax.
        thresholds: Operating points, one per purpose; ``referable`` is always there.
        student: The network.
        metrics: How good it is.
        lineage: What it was made from.
        artefacts: Every other file of the release.
        variants: The same student in less precision; each names one of ``artefacts``.
        notice: What every screen and print must show.
    """

    schema_: Literal["eyebright.release/1"] = Field(alias="schema")
    task: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str
    modality: Literal["CFP", "OCT"]
    classes: tuple[str, ...] = Field(min_length=2)
    referable: tuple[str, ...] = Field(min_length=1)
    preprocessing: Preprocessing
    temperature: float = Field(gt=0.0, le=1000.0)
    thresholds: tuple[Threshold, ...] = Field(min_length=1)
    student: StudentFacts
    metrics: Metrics
    lineage: Lineage
    artefacts: tuple[Artefact, ...]
    variants: tuple[VariantFacts, ...] = ()
    notice: str = Field(min_length=1)

    @field_validator("version")
    @classmethod
    def _whole_number(cls, version: str) -> str:
        if not _VERSION.fullmatch(version):
            raise ValueError("a version is a positive whole number in decimal, e.g. '3'")
        return version

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _each_once("classes", self.classes)
        _each_once("thresholds", [threshold.purpose for threshold in self.thresholds])
        # Two names that differ in case alone are one file on some file systems.
        _each_once("artefacts", [artefact.name.lower() for artefact in self.artefacts])
        strangers = set(self.referable) - set(self.classes)
        if strangers or len(set(self.referable)) == len(self.classes):
            raise ValueError("referable classes must be some, and not all, of the classes")
        if REFERABLE_PURPOSE not in {threshold.purpose for threshold in self.thresholds}:
            raise ValueError(f"a release needs a threshold for the purpose {REFERABLE_PURPOSE!r}")
        missing = [name for name in REQUIRED_ARTEFACTS if name not in {a.name for a in self.artefacts}]
        if missing:
            raise ValueError(f"required artefacts are not listed: {', '.join(missing)}")
        _each_once("variants", [variant.precision for variant in self.variants])
        sizes = {artefact.name: artefact.size_bytes for artefact in self.artefacts}
        if any(sizes.get(variant.file) != variant.size_bytes for variant in self.variants):
            raise ValueError("a variant is not among the artefacts, or has another length there")
        return self

    @property
    def threshold(self) -> Threshold:
        """The operating point for referral."""
        return next(threshold for threshold in self.thresholds if threshold.purpose == REFERABLE_PURPOSE)

    @property
    def referable_mask(self) -> tuple[bool, ...]:
        """For each class, in logit order, whether it is referable."""
        return tuple(name in self.referable for name in self.classes)

    def variant(self, precision: Precision) -> VariantFacts | None:
        """Return the facts of a variant; None for ``fp32`` and for one that does not ship."""
        return next((variant for variant in self.variants if variant.precision == precision), None)

    def artefact(self, name: str) -> Artefact:
        """Return the entry of an artefact.

        Raises:
            ReleaseError: the release lists no such file.
        """
        for artefact in self.artefacts:
            if artefact.name == name:
                return artefact
        raise ReleaseError(
            f"release {self.version} of {self.task} has no such artefact",
            value=name,
            fix=f"It lists: {', '.join(a.name for a in self.artefacts)}.",
        )


def parse_release(data: bytes, *, source: str = RELEASE_FILE) -> Release:
    """Return the release that ``data`` describes.

    Args:
        data: Bytes of a ``release.json``.
        source: Where they came from, for the message.

    Raises:
        ReleaseError: not JSON, of another schema version, or breaking a rule of this one.
    """
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ReleaseError("release file is not JSON", value=source, fix="Fetch the release again.") from error
    named = content.get("schema") if isinstance(content, Mapping) else None
    if named != RELEASE_SCHEMA:
        raise ReleaseError(
            f"release file {source} has schema {named!r}, this version of Eyebright reads {RELEASE_SCHEMA!r}",
            fix="Update Eyebright on this machine, or build the release with the version that runs here.",
        )
    try:
        return Release.model_validate_json(data)
    except ValidationError as error:
        raise ReleaseError(
            "release file breaks its schema",
            value=f"{source}: {problems_of(error, whole='release')[0]}",
            fix="Build the release again.",
        ) from error


def next_version(parent: str | None) -> str:
    """Return the version after ``parent``; ``"1"`` when there is none."""
    return "1" if parent is None else str(int(parent) + 1)


def _each_once(what: str, names: tuple[str, ...] | list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} name one thing more than once: {', '.join(twice)}")
