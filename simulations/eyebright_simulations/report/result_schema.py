"""``result.json``: the facts of a simulation for machines, read and written strictly.

* ``schema`` names the version of this shape. Unknown keys are refused; nothing is converted in silence, so a NumPy
  integer or a NaN is caught where the file is made.
* A number that is not defined (no pictures of a class, no threshold) is ``null``, never 0.
* ``recall`` and ``precision`` name the same classes, in logit order, in every metrics object.
* The documented extras may be left out, and are not in the file when nobody gave them: ``hospital`` of the best local
  student, ``cases`` and ``passed`` of the golden proof, ``n`` and ``note`` of a gate rule, ``duplicates`` of data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError

RESULT_SCHEMA: Literal["eyebright.simulation-result/1"] = "eyebright.simulation-result/1"
RESULT_FILE = "result.json"

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ReferableMetrics(StrictDocument):
    """How well a model tells who is to be referred; ``threshold`` is the operating point of the two rates."""

    auroc: Share | None
    sensitivity: Share | None
    specificity: Share | None
    threshold: Share | None


class Metrics(StrictDocument):
    """The metrics of one model on one set of ``n`` pictures; None where not defined."""

    accuracy: Share | None
    balanced_accuracy: Share | None
    macro_f1: Share | None
    macro_auroc: Share | None
    recall: dict[str, Share | None]
    precision: dict[str, Share | None]
    ece: Share | None
    referable: ReferableMetrics
    n: Count


class BestLocal(Metrics):
    """The best single hospital's student; ``hospital`` says which."""

    hospital: str | None = None


class Comparison(StrictDocument):
    """The other students, on the same test patients as the federated one."""

    best_local: BestLocal
    pooled: Metrics
    no_distillation: Metrics


class Hospital(StrictDocument):
    """One hospital's pictures, in number; ``labels`` counts them by class over the three splits."""

    name: str
    train: Count
    validation: Count
    test: Count
    labels: dict[str, Count]


class DuplicateCounts(StrictDocument):
    """Near-duplicate clusters and the pictures in them."""

    clusters: Count
    images: Count


class Data(StrictDocument):
    """What the run was given; ``left_out`` counts by reason what it did not use."""

    images: Count
    patients: Count
    left_out: dict[str, Count]
    hospitals: tuple[Hospital, ...] = Field(min_length=1)
    duplicates: DuplicateCounts | None = None


class Teacher(StrictDocument):
    """The teacher, on the same test patients."""

    arch: str
    parameters: Count
    metrics: Metrics


class Round(StrictDocument):
    """One federated round; ``metrics`` are of all hospitals' validation pictures together."""

    round: Annotated[int, Field(ge=1)]
    participants: Count
    accepted: Count
    quarantined: Count
    seconds: Annotated[float, Field(ge=0.0)]
    bytes_up: Count
    bytes_down: Count
    metrics: Metrics | None


class Student(StrictDocument):
    """The federated student as it ships; ``size_bytes`` is its ONNX file."""

    arch: str
    parameters: Count
    size_bytes: Count
    metrics: Metrics


class Artefact(StrictDocument):
    """One file of the release."""

    name: str
    size_bytes: Count
    sha256: Sha256


class GateRule(StrictDocument):
    """One rule of the gate; a rule that could not be measured has no value."""

    name: str
    value: float | str | None
    limit: float | str | None
    passed: bool
    n: int | None = None
    note: str = ""


class Gate(StrictDocument):
    """Every rule the release was held to."""

    passed: bool
    rules: tuple[GateRule, ...]


class ReleaseFacts(StrictDocument):
    """The release; ``sha256`` is of its ``release.json``."""

    version: str
    sha256: Sha256
    artefacts: tuple[Artefact, ...]
    gate: Gate


class Golden(StrictDocument):
    """How the unit did on the golden cases."""

    max_abs_logit_difference: Annotated[float, Field(ge=0.0)]
    decision_flips: Count
    cases: Count | None = None
    passed: bool | None = None


class VerdictCounts(StrictDocument):
    """Patients by answer."""

    refer: Count
    no_referral: Count
    ungradable: Count


class Unit(StrictDocument):
    """What the screening unit did; ``screened`` counts pictures, ``verdicts`` patients."""

    backend: str
    active_release: str
    golden: Golden
    screened: Count
    images_per_second: Annotated[float, Field(ge=0.0)] | None
    verdicts: VerdictCounts


class SimulationResult(StrictDocument):
    """The content of ``result.json``."""

    schema_: Literal["eyebright.simulation-result/1"] = Field(alias="schema")
    task: str
    seed: int
    data: Data
    teacher: Teacher
    rounds: tuple[Round, ...]
    student: Student
    comparison: Comparison
    release: ReleaseFacts
    unit: Unit
    seconds: dict[str, Annotated[float, Field(ge=0.0)]]

    @model_validator(mode="after")
    def _one_set_of_classes(self) -> Self:
        expected = self.classes
        for where, metrics in self._all_metrics():
            if tuple(metrics.recall) != expected or tuple(metrics.precision) != expected:
                raise ValueError(f"{where} names other classes than student.metrics, or in another order")
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in logit order."""
        return tuple(self.student.metrics.recall)

    def to_json(self) -> bytes:
        """Return the bytes of ``result.json``: UTF-8, keys in declaration order, extras only where given."""
        return (self.model_dump_json(indent=1, exclude_unset=True) + "\n").encode()

    def _all_metrics(self) -> Iterator[tuple[str, Metrics]]:
        yield "student.metrics", self.student.metrics
        yield "teacher.metrics", self.teacher.metrics
        yield "comparison.best_local", self.comparison.best_local
        yield "comparison.pooled", self.comparison.pooled
        yield "comparison.no_distillation", self.comparison.no_distillation
        for row in self.rounds:
            if row.metrics is not None:
                yield f"rounds[{row.round}].metrics", row.metrics


def parse_result(content: Mapping[str, Any]) -> SimulationResult:
    """Return the result that plain Python values describe.

    Raises:
        InputError: a key is missing, unknown, or has a value of another kind; the message names each.
    """
    try:
        # Lists, as JSON gives them, are meant where the models say tuple; strictness is kept for everything else.
        return SimulationResult.model_validate(_tuples(content))
    except ValidationError as error:
        problems = problems_of(error, whole="result")
        raise InputError(
            "simulation result breaks its schema", value="; ".join(problems[:5]), fix="Run the simulation again."
        ) from error


def read_result(path: Path) -> SimulationResult:
    """Return the result in a file.

    Raises:
        InputError: it cannot be read, or breaks the schema.
    """
    try:
        return SimulationResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError("no readable simulation result", value=path, fix="Run the simulation again.") from error


def write_result(path: Path, content: Mapping[str, Any]) -> SimulationResult:
    """Check ``content``, write it durably to ``path`` and return it.

    Raises:
        InputError: it breaks the schema; nothing is written.
    """
    result = parse_result(content)
    write_bytes(path, result.to_json())
    return result


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_tuples(item) for item in value)
    return value
