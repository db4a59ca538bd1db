"""What a run begins with: a fresh student, given weights, or the student behind a release.

* A release ships a graph with batch normalisation folded into its convolutions; a student cannot be read back from it.
  Its weights are the run's own ``student.safetensors``. That they are those of the release is not believed but
  measured: they must give the golden logits of the release.
* Another architecture, other classes or another size are refused before anything is computed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from eyebright_common.errors import InputError
from eyebright_common.exchange import is_counter
from eyebright_common.plan import Plan
from eyebright_common.release import Release, read_release
from eyebright_common.release.golden import load_golden
from eyebright_learning.evaluation import predict
from eyebright_learning.models import Student, build_student
from eyebright_server.federation.records import Arrays


def fresh_student(plan: Plan, weights: Path | None = None) -> Arrays:
    """Return the arrays of the plan's student before any training, from the plan's seed or from a file.

    A head of other classes, such as ImageNet's, is made afresh.

    Raises:
        InputError: the file cannot be read, or is of another architecture.
    """
    student = build_student(plan.student, classes=len(plan.classes), seed=plan.seed, weights=weights)
    return {name: t.detach().cpu().numpy() for name, t in student.state_dict().items() if not is_counter(name)}


def released_student(plan: Plan, *, release: Path, weights: Path) -> Arrays:
    """Return the arrays of the student behind a release.

    Args:
        plan: Of the run that is to begin with it.
        release: The release's folder.
        weights: The run's ``student.safetensors``.

    Raises:
        InputError: the release is of another architecture or other classes, or the weights are not the release's.
    """
    found = read_release(release)
    _same_kind(plan, found)
    student, arrays = _student_with(plan, weights)
    golden = load_golden(release / "golden.npz")
    logits = predict(student, np.ascontiguousarray(golden.inputs.transpose(0, 2, 3, 1)))
    apart = float(np.abs(logits - golden.logits).max())
    if not apart <= golden.tolerance:
        raise InputError(
            "these weights are not those of the release",
            value=f"logits differ by {apart:.3g}, the release allows {golden.tolerance:.3g}",
            fix="Give the student.safetensors of the run that made it.",
        )
    return arrays


def _same_kind(plan: Plan, release: Release) -> None:
    if release.student.arch != plan.student:
        raise InputError(
            "the release is of another architecture",
            value=f"{release.student.arch}, the plan trains {plan.student}",
            fix="Plan the release's architecture, or begin afresh.",
        )
    if (release.task, release.classes) != (plan.task, plan.classes):
        raise InputError("the release is of another task", value=release.task, fix="Plan the release's task.")


def _student_with(plan: Plan, weights: Path) -> tuple[Student, Arrays]:
    fix = "Give the student.safetensors of a run of this architecture."
    try:
        arrays: Arrays = {name: a for name, a in load_file(weights).items() if not is_counter(name)}
    except (OSError, SafetensorError) as error:
        raise InputError(f"the weights cannot be read ({error})", value=weights, fix=fix) from None
    student = build_student(plan.student, classes=len(plan.classes), seed=plan.seed)
    wanted = {name: tuple(t.shape) for name, t in student.state_dict().items() if not is_counter(name)}
    if wanted != {name: a.shape for name, a in arrays.items()}:
        raise InputError("the weights are of another architecture", value=weights, fix=fix)
    student.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in arrays.items()}, strict=False)
    return student.eval(), arrays
