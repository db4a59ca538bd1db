"""``result.json`` of a study, read and written strictly.

* An ``Estimate`` is a value and its 95 % interval; what is not defined is ``null``, never 0.
* A row is one model on the same pictures: the control first, then the other arms or the teachers. ``differences`` are
  the row minus the control, ``kept`` is its balanced accuracy over the teacher's; both on the same resamples.
* ``options`` are those of ``StudyOptions``; ``findings`` are the sentences a reader should not miss.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError

RESULT_FILE = "result.json"
MAIN = "balanced_accuracy"  # what verdicts go by

Count = Annotated[int, Field(ge=0)]
Verdict = Literal["control", "helped", "not settled", "hurt"]
Role = Literal["control", "arm", "teacher"]


class Estimate(StrictDocument):
    """A value with its 95 % interval over resamples of patients."""

    value: float | None
    lower: float | None
    upper: float | None


class Row(StrictDocument):
    """One model on the study's pictures.

    ``metrics`` go by name: ``balanced_accuracy``, ``macro_auroc``, ``referable.auroc``, ``ece``, ``recall.CLASS``.
    ``recipe`` are the weights of its losses; a teacher has none. ``seeds`` counts the trainings it is the mean of.
    """

    name: str
    role: Role
    recipe: dict[str, float]
    seeds: Annotated[int, Field(ge=1)]
    metrics: dict[str, Estimate]
    differences: dict[str, Estimate]
    kept: Estimate | None
    verdict: Verdict

    @property
    def difference(self) -> Estimate:
        """The difference to the control that the verdict is about."""
        return self.differences[MAIN]


class Skipped(StrictDocument):
    """An arm that was asked for and not run."""

    name: str
    reason: str


class Data(StrictDocument):
    """What the study was given."""

    images: Count
    patients: Count
    groups: Count
    labels: dict[str, Count]
    left_out: dict[str, Count]
    duplicate_images: Count
    duplicate_clusters_across_patients: Count
    fold_sizes: tuple[Count, ...]
    manifest_digest: str


class Machine(StrictDocument):
    """Where it ran."""

    cores: Count
    processor: str
    device: str
    python: str


class StudyResult(StrictDocument):
    """The content of ``result.json``."""

    schema_: Literal["eyebright.study-result/1"] = Field(default="eyebright.study-result/1", alias="schema")
    kind: Literal["ablation", "teachers"]
    task: str
    command: str
    options: dict[str, Any]
    data: Data
    folds_run: Annotated[int, Field(ge=1)]
    pictures_tested: Count
    groups_tested: Count
    rows: tuple[Row, ...] = Field(min_length=1)
    skipped: tuple[Skipped, ...]
    findings: tuple[str, ...]
    job_seconds: dict[str, float]
    machine: Machine
    versions: dict[str, str]

    @property
    def control(self) -> Row:
        """The row of the CE-only student."""
        return next(row for row in self.rows if row.role == "control")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in logit order."""
        return tuple(self.data.labels)


def write_result(path: Path, result: StudyResult) -> None:
    """Write a result durably."""
    write_bytes(path, result.to_json())


def read_result(path: Path) -> StudyResult:
    """Return the result in a file.

    Raises:
        InputError: it cannot be read, or breaks the schema; the message names the fields.
    """
    try:
        return StudyResult.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError("no readable study result", value=path, fix="Run the study again.") from error
    except ValidationError as error:
        problems = "; ".join(problems_of(error, whole="result")[:5])
        raise InputError(f"{path} breaks the schema of a study result", value=problems) from error
