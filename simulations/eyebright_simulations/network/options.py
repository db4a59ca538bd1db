"""What a simulation is asked to do, and the defaults that depend on the data.

* Everything that changes a result is in ``SimulationOptions`` and so in its digest: ``--resume`` continues only the
  same experiment.
* The defaults make the plain command end within six minutes on two cores. Real images get more pixels, because lesions
  of a few pixels are gone at 96.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_simulations.partition import check_method

SYNTHETIC = "synthetic"
BACKENDS = ("local", "ray")
_SMALLEST, _LARGEST = 32, 512


def default_student(task: str, *, init: object = None) -> str:
    """Return the student of a simulation that names none.

    MobileNetV2 does not learn drawn scans from random weights in a rehearsal's passes (43 % balanced accuracy on
    validation, labels alone, seed 8); ResNet-18 does (81 %). Given weights are MobileNetV2's as a rule.
    """
    return "resnet18" if task == "oct" and init is None else "mobilenet_v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOptions:
    """One simulation.

    Attributes:
        data: ``synthetic``, or the path of a manifest or of a folder per class.
        task: Task family, ``fundus`` or ``oct``.
        hospitals: Number of hospitals; None takes the data's own sites, or three.
        partition: ``site``, ``iid`` or ``dirichlet:ALPHA``; None means ``site`` where there are sites.
        rounds: Federated rounds.
        local_epochs: Passes over a hospital's pictures in each round; None is fewer for a student that starts from
            given weights.
        teacher: Name of the teacher; None takes the default for the task, or for the given weights.
        teacher_init: Weights the teacher starts from; None takes ``init`` for the default teacher, random for another.
        student: Student architecture.
        init: Weights the student starts from; None is random.
        image_size: Side of the model input, pixels; None depends on the data.
        backend: ``local`` or ``ray``.
        seed: Seed of everything random.
    """

    data: str = SYNTHETIC
    task: str = "fundus"
    hospitals: int | None = None
    partition: str | None = None
    rounds: int = 6
    local_epochs: int | None = None
    teacher: str | None = None
    teacher_init: str | None = None
    student: str = "mobilenet_v2"
    init: str | None = None
    image_size: int | None = None
    backend: str = "local"
    seed: int = 7

    @property
    def synthetic(self) -> bool:
        """Whether the pictures are drawn rather than given."""
        return self.data == SYNTHETIC

    @property
    def pixels(self) -> int:
        """Side of the model input, pixels."""
        return self.image_size or (96 if self.synthetic else 128)

    @property
    def passes_per_round(self) -> int:
        """Passes over a hospital's pictures in each round."""
        return (3 if self.init is None else 2) if self.local_epochs is None else self.local_epochs

    def digest(self) -> str:
        """SHA-256 of everything that changes the result."""
        facts = asdict(self) | {"init": _file_digest(self.init), "teacher_init": _file_digest(self.teacher_init)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def check(self) -> None:
        """Refuse what cannot work before anything is computed.

        Raises:
            InputError: naming the option, its value and what it may be.
        """
        get_task(self.task)
        if self.partition is not None:
            check_method(self.partition)
        _within("--rounds", self.rounds, 1, 1000)
        _within("--local-epochs", self.passes_per_round, 1, 1000)
        _within("--image-size", self.pixels, _SMALLEST, _LARGEST)
        if self.pixels % 32:
            raise InputError("--image-size must be a multiple of 32", value=self.pixels, fix="For example 96 or 224.")
        if self.hospitals is not None:
            _within("--hospitals", self.hospitals, 1, 1000)
        if self.backend not in BACKENDS:
            raise InputError("unknown --backend", value=self.backend, fix=f"Choose one of: {', '.join(BACKENDS)}.")
        files = {"--data": None if self.synthetic else self.data, "--init": self.init}
        for flag, path in (files | {"--teacher-init": self.teacher_init}).items():
            if path is not None and not Path(path).exists():
                raise InputError(f"{flag} does not exist", value=path, fix="Check the path.")


def _within(flag: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InputError(f"{flag} is out of range", value=value, fix=f"Use {least} to {most}.")


def _file_digest(path: str | None) -> str | None:
    if path is None:
        return None
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
