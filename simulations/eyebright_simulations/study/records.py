"""What a finished job leaves behind, so that a kill loses at most the jobs that were running.

* ``jobs/NAME.npz`` holds the predictions and who was learned from; ``jobs/NAME.json`` the facts. The JSON is written
  last: where it is, the job is finished.
* Predictions are positions in the study's own order of pictures, never patients or file names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright_common.durable import replacing, write_json
from eyebright_common.errors import InputError
from eyebright_simulations.study.folds import FoldParts, HeldOut, Integers

Facts = dict[str, Any]


def teacher_job(index: int, fold: int) -> str:
    """Return the name of the job that trains the teacher number ``index`` for a fold."""
    return f"teacher-{index}.fold-{fold}"


def student_job(arm: str, fold: int, seed: int) -> str:
    """Return the name of the job that trains the student of an arm for a fold and a seed."""
    return held_out_job(arm, HeldOut(by="fold", number=fold), seed)


def held_out_job(arm: str, held_out: HeldOut, seed: int) -> str:
    """Return the name of the job that trains the student of an arm and a seed without a fold or a site."""
    return f"{arm}.{held_out.by}-{held_out.number}.seed-{seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """A model's answers on the pictures that were held out from it.

    Attributes:
        test: Positions, ``[M]``.
        probabilities: Calibrated, ``[M, C]``.
        train: Positions it learned from.
        validation: Positions that fitted its temperature.
    """

    test: Integers
    probabilities: NDArray[np.float64]
    train: Integers
    validation: Integers


def is_done(out: Path, name: str) -> bool:
    """Whether a job is finished."""
    return _facts_file(out, name).exists()


def write_record(
    out: Path, name: str, *, parts: FoldParts, probabilities: NDArray[np.float64], facts: Mapping[str, Any]
) -> None:
    """Keep what a job found; the facts last."""
    with replacing(_arrays_file(out, name)) as file:
        np.savez(
            file,
            allow_pickle=False,
            test=parts.test,
            probabilities=probabilities,
            train=parts.train,
            validation=parts.validation,
        )
    write_json(_facts_file(out, name), dict(facts))


def read_facts(out: Path, name: str) -> Facts:
    """Return the facts of a finished job.

    Raises:
        InputError: there is no such record.
    """
    try:
        facts: Facts = json.loads(_facts_file(out, name).read_text())
    except (OSError, ValueError) as error:
        raise InputError("no readable record of a job", value=name, fix="Run again with --resume.") from error
    return facts


def read_predictions(out: Path, name: str) -> Predictions:
    """Return the predictions of a finished job.

    Raises:
        InputError: they are missing or damaged.
    """
    try:
        with _arrays_file(out, name).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("test", "probabilities", "train", "validation")}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            "predictions of a job cannot be read",
            value=name,
            fix=f"Delete {_facts_file(out, name).name} and run again with --resume.",
        ) from error
    return Predictions(**arrays)


def _facts_file(out: Path, name: str) -> Path:
    return out / "jobs" / f"{name}.json"


def _arrays_file(out: Path, name: str) -> Path:
    return out / "jobs" / f"{name}.npz"
