"""``teacher.json``: what a teacher is, what it was made from, how it learnt and how good it is.

* Figures are of calibrated probabilities of single pictures, with 95 % intervals from resamples of whole groups.
* The temperature was fitted on the validation part, so that part's calibration error is flattered; the test part's,
  where there is one, is not.
* Test-time augmentation is reported apart and only where it is asked for: a screening unit looks once.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydantic import Field

from eyebright_common import __version__
from eyebright_common.documents import Document
from eyebright_common.tasks import ScreeningTask
from eyebright_learning.data import PreparedImages
from eyebright_learning.evaluation import Cases, Criteria, estimates, predict, softmax
from eyebright_learning.evaluation.test_time import predict_tta
from eyebright_learning.models import Student, Teacher
from eyebright_learning.training.records import EpochRecord

REPLICATES = 1000
_LIBRARIES = ("numpy", "opencv-python-headless", "timm", "torch")


class Figure(Document):
    """A figure and how sure it is; None where it is not defined.

    Attributes:
        value: On the pictures themselves.
        lower: End of its interval.
        upper: End of its interval.
    """

    value: float | None
    lower: float | None
    upper: float | None


class Measured(Document):
    """How good a network is on one part.

    Attributes:
        pictures: In the part.
        groups: Patient-or-duplicate clusters, which are what is resampled.
        figures: By flat name, e.g. ``balanced_accuracy`` or ``recall.glaucoma``.
    """

    pictures: int
    groups: int
    figures: dict[str, Figure]


class StartFacts(Document):
    """What a network started from.

    Attributes:
        kind: ``random``, ``weights``, ``pretrained`` (published, downloaded) or ``pretraining``.
        sha256: Of the file, where there was one.
    """

    kind: str
    sha256: str | None = None


class TrainingRecord(Document):
    """What is known about any network trained on prepared pictures.

    Attributes:
        schema_version: Of this file.
        task: Name of the task.
        classes: In logit order.
        architecture: The name that builds it.
        image_size: Side of its pictures in pixels.
        parameters: Learnable values.
        weights: Name of its file, in the same folder.
        sha256: Of that file: what plans and caches know a teacher by.
        start: What it started from.
        recipe: Name of the recipe.
        losses: Knobs of the loss.
        training: Every knob of the training.
        parts_sha256: Of the pictures of every part.
        steps: Optimiser steps, of all members of an ensemble together.
        examples: Pictures seen, repeats counted.
        device: Where.
        code_version: Of Eyebright.
        libraries: Versions of what computed it.
        history: One record per epoch.
        validation: On the validation part.
        test: On the part nobody looked at before.
    """

    schema_version: int = Field(default=1, ge=1, le=1)
    task: str
    classes: tuple[str, ...]
    architecture: str
    image_size: int
    parameters: int
    weights: str
    sha256: str
    start: StartFacts
    recipe: str
    losses: dict[str, float]
    training: dict[str, Any]
    parts_sha256: dict[str, str]
    steps: int
    examples: int
    device: str
    code_version: str = __version__
    libraries: dict[str, str] = Field(default_factory=lambda: {name: version(name) for name in _LIBRARIES})
    history: tuple[EpochRecord, ...]
    validation: Measured
    test: Measured | None = None


class TeacherRecord(TrainingRecord):
    """All that is known about a teacher.

    Attributes:
        temperature: Fitted on the validation part.
        processes: That trained together.
        looks: Looks at each picture with test-time augmentation; 1 where it was not asked for.
        validation_with_looks: As ``validation``, with that many looks.
        test_with_looks: As ``test``, with that many looks.
    """

    temperature: float
    processes: int
    looks: int = 1
    validation_with_looks: Measured | None = None
    test_with_looks: Measured | None = None


def measure(
    model: Student | Teacher,
    images: PreparedImages,
    task: ScreeningTask,
    *,
    temperature: float,
    looks: int = 1,
    seed: int = 0,
) -> Measured:
    """Return how good a network is on these pictures.

    Args:
        model: The network.
        images: The pictures of one part.
        task: Names the classes.
        temperature: Divides its logits.
        looks: At each picture; 1 is plain prediction.
        seed: Of the resamples.
    """
    if looks == 1:
        probabilities = softmax(predict(model, images.pixels), temperature=temperature)
    else:
        probabilities = predict_tta(
            model, images.pixels, images.digests, views=looks, modality=task.modality, temperature=temperature
        )
    cases = Cases.of(probabilities, images.labels, groups=images.groups, task=task)
    found = estimates({"pictures": cases}, Criteria(), replicates=REPLICATES, seed=seed)["pictures"]
    return Measured(
        pictures=len(images),
        groups=len(set(images.groups.tolist())),
        figures={name: Figure(**estimate.to_dict()) for name, estimate in found.items()},
    )
