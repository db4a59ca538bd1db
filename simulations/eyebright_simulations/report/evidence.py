"""What the report shows beside ``result.json``: curves, matrices, pictures, flows.

* ``ReportEvidence`` needs only its task; every other part may be missing, and the report then says so in its place.
* Matrices and curves are plain sequences, so that what a stage kept as JSON can be handed on as it is.
* Metrics are the room's dictionaries (``eyebright_learning.evaluation.metrics``): None where a number is not defined.
* Nothing here may name a patient or a file: a sample verdict carries a pseudonym such as ``patient 12``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from eyebright_common.release import Eye, Threshold, Verdict
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.evaluation.bootstrap import Interval
from eyebright_learning.evaluation.calibration import ReliabilityBin
from eyebright_learning.evaluation.curves import RocPoints

Picture = npt.NDArray[np.uint8]


class ArmName(StrEnum):
    """The models that are compared, all on the same test patients; ``STUDENT`` is the federated one that ships."""

    STUDENT = "student"
    TEACHER = "teacher"
    BEST_LOCAL = "best_local"
    POOLED = "pooled"
    NO_DISTILLATION = "no_distillation"


class Party(StrEnum):
    """Who sends or receives across a boundary."""

    OPERATOR = "operator"
    HOSPITAL = "hospital"
    UNIT = "unit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEvidence:
    """One model on the test patients.

    Attributes:
        confusion: Counts ``[C, C]``, rows truth, columns answer.
        roc: Referral ROC curve.
        reliability: Bins of the reliability diagram.
        intervals: Bootstrap interval of a metric, by its name (``balanced_accuracy``, ``referable.sensitivity`` …).
        student_minus: Paired bootstrap interval of *student minus this arm*, by metric name; of the same resamples.
        note: What to know about this arm, e.g. which hospital was the best one.
    """

    confusion: Sequence[Sequence[int]] | None = None
    roc: RocPoints | None = None
    reliability: Sequence[ReliabilityBin] = ()
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    student_minus: Mapping[str, Interval] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteEvidence:
    """One hospital.

    Attributes:
        name: As in ``result.json``.
        camera: Camera or picture style, for people.
        left_out: Pictures of this hospital that were not used, by reason.
        ungradable: Pictures that the quality gate calls ungradable; None when not counted.
        metrics: The federated student on this hospital's test patients.
        intervals: Bootstrap intervals of those, by metric name.
        local: The student trained at this hospital alone, on *all* test patients; None when there was none.
        balanced_accuracy: The federated student on its validation patients, one value per round.
        macro_auroc: The same.
        loss: Mean training loss of each round at this hospital.
    """

    name: str
    camera: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    ungradable: int | None = None
    metrics: Mapping[str, Any] | None = None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    local: Mapping[str, Any] | None = None
    balanced_accuracy: Sequence[float | None] = ()
    macro_auroc: Sequence[float | None] = ()
    loss: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleVerdict:
    """One screened picture.

    Attributes:
        picture: RGB uint8 ``[H, W, 3]``.
        overlay: The same with the class activation map over it; None when the unit did not look.
        patient: Pseudonym, e.g. ``patient 12``.
        eye: Laterality.
        truth: Class name the collection gives.
        probabilities: Calibrated probability of each class; empty when ungradable.
        score: Referable score; None when ungradable.
        verdict: The unit's answer for this picture.
        quality: ``good``, ``usable`` or ``reject``.
        reasons: The quality room's words.
        site: Hospital the picture comes from.
    """

    picture: Picture
    overlay: Picture | None = None
    patient: str
    eye: Eye
    truth: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    verdict: Verdict
    quality: str = "good"
    reasons: Sequence[str] = ()
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryFlow:
    """What crossed one boundary, added up over the run.

    Attributes:
        sender: Who sent it.
        receiver: Who received it.
        what: What it was, in plain words, e.g. ``student update``.
        size_bytes: All of it.
        count: Number of messages or files.
        images: Pictures inside, counted by whoever opened the messages; not assumed.
        site: Which hospital or unit, where the flow is told per site.
    """

    sender: Party
    receiver: Party
    what: str
    size_bytes: int
    count: int
    images: int = 0
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorShare:
    """The operator's own pictures, on which the teacher learned."""

    train: int
    validation: int
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Near-duplicate pictures that were kept together.

    Attributes:
        clusters: Clusters of two or more pictures.
        images: Pictures in them.
        cross_patient: Clusters that join different patient ids.
        moved: Pictures held by another hospital than the one that recorded them, so that a group stays whole.
    """

    clusters: int
    images: int
    cross_patient: int = 0
    moved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """How to get this report again.

    Attributes:
        command: The command line.
        machine: Facts about it, e.g. ``{"processor": …, "cores": "2", "memory": "8 GB"}``.
        versions: Package to version.
        digests: What to SHA-256, e.g. plan, teacher, manifest, weights.
        peak_memory_bytes: Largest resident memory of the run.
        started: When, ISO 8601; left out of a report that must be reproducible byte for byte.
    """

    command: str = ""
    machine: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    started: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEvidence:
    """Everything the report shows that ``result.json`` does not hold.

    Attributes:
        task: Names, titles and referable classes.
        synthetic: Whether the pictures were drawn rather than photographed.
        data_source: Where they come from, for people.
        setup: What was asked for, in reading order, e.g. ``{"Partition": "site", "Rounds": "6 × 3 passes"}``.
        budget: One sentence on what every arm was given.
        arms: One entry per model that was evaluated.
        sites: One entry per hospital, in the order of ``result.json``.
        losses: For each round, the mean of each loss term.
        best_round: The round that was released.
        threshold: The shipped operating point with its provenance.
        temperature: What the shipped student's logits were divided by, as the hospitals' answers say.
        operator: The operator's share.
        duplicates: Near-duplicates, None when they were not looked for.
        samples: Screened pictures to show, best chosen to cover right, wrong and ungradable.
        flows: What crossed each boundary.
        reproduction: Command, machine, versions, digests.
        notes: Things to know: limits and surprises of this run.
    """

    task: ScreeningTask
    synthetic: bool = False
    data_source: str = ""
    setup: Mapping[str, str] = field(default_factory=dict)
    budget: str = ""
    arms: Mapping[ArmName, ArmEvidence] = field(default_factory=dict)
    sites: Sequence[SiteEvidence] = ()
    losses: Sequence[Mapping[str, float]] = ()
    best_round: int | None = None
    threshold: Threshold | None = None
    temperature: float | None = None
    operator: OperatorShare | None = None
    duplicates: Duplicates | None = None
    samples: Sequence[SampleVerdict] = ()
    flows: Sequence[BoundaryFlow] = ()
    reproduction: Reproduction = field(default_factory=Reproduction)
    notes: Sequence[str] = ()
