"""Training as a run on disk: a checkpoint to continue from, the teacher, and its record.

| in the folder | what it is |
|---|---|
| ``checkpoint/`` | one folder per member (a single teacher is member 0): its last whole epoch |
| ``teacher.safetensors`` | the teacher: weights, temperature, and what it is; hospitals need nothing else |
| ``teacher.json`` | ``TeacherRecord`` |

Under torchrun every process trains its share and measures the same weights; the first one writes.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Teacher, build_teacher, count_parameters
from eyebright_learning.training import TeacherResult, TeacherTraining, train_teacher
from eyebright_learning.training.parallel import Parallel
from eyebright_learning.training.records import OnEpoch
from eyebright_server.teacher.facts import TEST, TRAIN, VALIDATION, PreparedFacts, read_part
from eyebright_server.teacher.recipes import Start, TeacherRecipe
from eyebright_server.teacher.record import Measured, StartFacts, TeacherRecord, measure

CHECKPOINT, WEIGHTS, RECORD = "checkpoint", "teacher.safetensors", "teacher.json"
WRITES = (RECORD, WEIGHTS, CHECKPOINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a teacher starts from.

    Attributes:
        kind: Which of the ways.
        file: The safetensors file, where there is one.
    """

    kind: Start = "random"
    file: Path | None = None

    @classmethod
    def of(cls, *, weights: Path | None, pretraining: Path | None, pretrained: bool) -> Beginning:
        """Return the one way that was chosen; random weights when none was.

        Raises:
            InputError: several were.
        """
        chosen: list[tuple[Start, Path | None]] = []
        if weights is not None:
            chosen.append(("weights", weights))
        if pretraining is not None:
            chosen.append(("pretraining", pretraining))
        if pretrained:
            chosen.append(("pretrained", None))
        if len(chosen) > 1:
            raise InputError(
                "a teacher starts from one thing",
                value=", ".join(kind for kind, _ in chosen),
                fix="Give one of --weights, --from-pretraining and --pretrained.",
            )
        return cls(kind=chosen[0][0], file=chosen[0][1]) if chosen else cls()

    def facts(self) -> StartFacts:
        """Return what the record says about it."""
        digest = None if self.file is None else hashlib.sha256(self.file.read_bytes()).hexdigest()
        return StartFacts(kind=self.kind, sha256=digest)

    def teacher(self, name: str, *, classes: int, image_size: int, seed: int) -> Teacher:
        """Return the untrained teacher.

        Raises:
            InputError: the name is unknown, the picture size does not suit it, or the file cannot start it.
        """
        teacher = build_teacher(
            name,
            classes=classes,
            image_size=image_size,
            seed=seed,
            pretrained=self.kind == "pretrained",
            weights=self.file,
        )
        # A name that says "gap" averages its tokens by itself.
        if self.kind == "pretraining" and teacher.identity.pooling != "mean" and "_gap_" not in name:
            raise InputError(
                "this file or this teacher has nothing to do with pre-training",
                value=f"{self.file}, {name}",
                fix="Give the encoder.safetensors of `pretrain`, and the transformer it was made for.",
            )
        return teacher


def make_teacher(
    teacher: Teacher,
    images: Path,
    facts: PreparedFacts,
    out: Path,
    *,
    start: Beginning,
    recipe: TeacherRecipe,
    config: TeacherTraining,
    parallel: Parallel,
    looks: int = 1,
    on_epoch: OnEpoch | None = None,
) -> TeacherRecord:
    """Train ``teacher`` into ``out``, continuing what is there, and return its record.

    Args:
        teacher: From ``start.teacher``.
        images: A folder that ``prepare`` made.
        facts: Of that folder.
        out: The run's folder.
        start: What the teacher starts from, for the record.
        recipe: Gives loss and dropout; how to train is in ``config``.
        config: How to train.
        parallel: The processes that train together.
        looks: At each picture, for figures with test-time augmentation beside the plain ones; 1 for none.
        on_epoch: Called in every process after each epoch, when it is safe on disk.

    Raises:
        InputError: pictures, teacher and recipe do not fit together, or the folder holds another run.
        EyebrightError: the loss became something that is not a number.
    """
    parts = {part: read_part(images, facts, part) for part in (TRAIN, VALIDATION, TEST) if part in facts.parts}
    recipe.regularise(teacher, start=start.kind)
    teacher.to(parallel.device)
    done = train_teacher(
        teacher,
        parts[TRAIN],
        parts[VALIDATION],
        config=config,
        focal=recipe.focal,
        on_epoch=on_epoch,
        checkpoint=out / CHECKPOINT,
        parallel=parallel,
    )
    plain = _record(teacher, parts, facts, done, start=start, recipe=recipe, config=config, parallel=parallel)
    record = plain if looks == 1 else plain.model_copy(update=_with_looks(teacher, parts, facts, looks))
    if parallel.is_first:
        teacher.save(out / WEIGHTS)
        write_bytes(out / RECORD, record.to_json())
    parallel.wait()
    return record


def _with_looks(
    teacher: Teacher, parts: dict[str, PreparedImages], facts: PreparedFacts, looks: int
) -> dict[str, object]:
    measured = {
        f"{part}_with_looks": _measured(teacher, parts[part], facts, looks)
        for part in (VALIDATION, TEST)
        if part in parts
    }
    return {"looks": looks, **measured}


def _measured(teacher: Teacher, images: PreparedImages, facts: PreparedFacts, looks: int = 1) -> Measured:
    return measure(teacher, images, get_task(facts.task), temperature=float(teacher.temperature), looks=looks)


def _record(
    teacher: Teacher,
    parts: dict[str, PreparedImages],
    facts: PreparedFacts,
    done: TeacherResult,
    *,
    start: Beginning,
    recipe: TeacherRecipe,
    config: TeacherTraining,
    parallel: Parallel,
) -> TeacherRecord:
    return TeacherRecord(
        task=facts.task,
        classes=facts.classes,
        architecture=teacher.architecture,
        image_size=facts.image_size,
        parameters=count_parameters(teacher),
        weights=WEIGHTS,
        sha256=teacher.digest(),
        temperature=done.temperature,
        start=start.facts(),
        recipe=recipe.name,
        losses={"focal": recipe.focal} if recipe.focal else {"ce": 1.0},
        training=dataclasses.asdict(config),
        parts_sha256={part: held.digest() for part, held in parts.items()},
        steps=done.training.steps,
        examples=done.training.examples,
        processes=parallel.world_size,
        device=parallel.device.type,
        history=done.training.history,
        validation=_measured(teacher, parts[VALIDATION], facts),
        test=_measured(teacher, parts[TEST], facts) if TEST in parts else None,
    )
