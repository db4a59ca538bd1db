"""Training a teacher on labels, and its calibration.

* The weights of the last epoch are kept: the cosine has come to rest there, and picking an epoch by the same pictures
  that fit the temperature would flatter both.
* The members of an ensemble are trained one after the other, each with its own order of pictures and its own
  temperature; the temperature of the whole is fitted last, on what they say together.
* Each member has a checkpoint of its own, so a killed ensemble does not train its finished members again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.evaluation import fit_temperature, predict
from eyebright_learning.models import Ensemble, Teacher
from eyebright_learning.training.config import TeacherTraining
from eyebright_learning.training.loop import fit
from eyebright_learning.training.parallel import Parallel
from eyebright_learning.training.records import EpochRecord, OnEpoch, TrainingResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherResult:
    """What teacher training did.

    Attributes:
        training: Losses, steps, examples; of an ensemble, of all members one after the other.
        temperature: Fitted on the validation pictures and kept in the teacher.
    """

    training: TrainingResult
    temperature: float


def train_teacher(
    teacher: Teacher,
    images: PreparedImages,
    validation: PreparedImages,
    *,
    config: TeacherTraining,
    label_smoothing: float = 0.0,
    focal: float = 0.0,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
    parallel: Parallel | None = None,
) -> TeacherResult:
    """Train a teacher in place on labels, then fit its temperature on ``validation``.

    Args:
        teacher: Any teacher; member k of an ensemble is trained with ``config.seed + k``.
        images: What to learn from.
        validation: For the temperatures.
        config: The stretch of training, of each member.
        label_smoothing: Part of the label spread over all classes.
        focal: Gamma of the focal loss; above 0 it takes the place of the cross-entropy. Classes are weighed in it by
            ``config.balance = "loss"``.
        on_epoch: Called after each epoch; the epochs of an ensemble are those of all its members.
        checkpoint: A folder where every epoch is kept, and from which a killed training is continued.
        parallel: The processes that train together; this one alone by default.

    Raises:
        InputError: pictures are missing or have another size than the teacher's, or the folder holds another training.
        EyebrightError: the loss became something that is not a number.
    """
    for name, part in (("training", images), ("validation", validation)):
        if len(part) == 0:
            raise InputError(f"teacher training: no {name} pictures", fix="Look at how the operator's share was split.")
        if part.size != teacher.identity.image_size:
            raise InputError("the pictures have another size than the teacher's", value=part.size)
    recipe = Recipe.supervised(label_smoothing=label_smoothing, focal=focal)
    members = teacher.members if isinstance(teacher, Ensemble) else (teacher,)
    done = []
    for number, member in enumerate(members):
        result = fit(
            member,
            images,
            classes=teacher.identity.classes,
            recipe=recipe,
            config=replace(config, seed=config.seed + number),
            on_epoch=_counted_on(on_epoch, number, len(members)),
            checkpoint=None if checkpoint is None else checkpoint / f"member-{number}",
            parallel=parallel,
        )
        done.append(result)
        calibrate(member, validation)
    if isinstance(teacher, Ensemble):
        calibrate(teacher, validation)
    if parallel is not None:
        parallel.broadcast(teacher)  # each fitted its own temperature; only one of them is the teacher's
    return TeacherResult(training=_one_after_the_other(done), temperature=float(teacher.temperature))


def calibrate(teacher: Teacher, validation: PreparedImages) -> None:
    """Fit a teacher's temperature on validation pictures; the members of an ensemble keep theirs."""
    teacher.set_temperature(1.0)  # an ensemble's members answer calibrated; a teacher trained again starts over
    teacher.set_temperature(fit_temperature(predict(teacher, validation.pixels), validation.labels))


def _counted_on(on_epoch: OnEpoch | None, number: int, members: int) -> OnEpoch | None:
    """Return a listener that hears member ``number``'s epochs as those of one long training."""
    if on_epoch is None:
        return None

    def shown(record: EpochRecord) -> None:
        of_all = replace(record, epoch=number * record.epochs + record.epoch, epochs=members * record.epochs)
        on_epoch(of_all)

    return shown


def _one_after_the_other(results: list[TrainingResult]) -> TrainingResult:
    return TrainingResult(
        history=tuple(record for result in results for record in result.history),
        steps=sum(result.steps for result in results),
        examples=sum(result.examples for result in results),
    )
