"""Running one arm: its sites are prepared, its plan is written and approved, its federation is run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from eyebright_common.durable import write_json
from eyebright_common.exchange import is_counter
from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Student
from eyebright_server.federation import FederationEvent, FederationResult, run_federation
from eyebright_server.federation.rules import RoundRules
from eyebright_server.student_recipes import get_recipe
from eyebright_simulations.network.arms import FEDERATED, Arm
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.dataset import TRAIN, VALIDATION, Dataset
from eyebright_simulations.network.first_student import first_student
from eyebright_simulations.network.settings import STUDENT_THREADS, budget_of
from eyebright_simulations.network.teacher import teacher_file


def run_arm(
    context: Context, arm: Arm, *, backend: str, on_event: Callable[[FederationEvent], None]
) -> tuple[Plan, FederationResult]:
    """Prepare the sites of an arm and run its federation; continues where a killed one stopped."""
    plan = plan_of(context, distilled=arm.distilled)
    folder = context.out / "arms" / arm.name
    result = run_federation(
        plan=plan,
        initial=_initial(context),
        sites=_prepared_sites(context, arm, plan, folder / "sites"),
        backend=backend,
        on_event=on_event,
        checkpoint=folder / "rounds",
        # Drawn readers err in validation labels, not in test labels: a temperature would fit their mistakes (ADR 0031).
        rules=RoundRules(calibrate=not context.options.synthetic),
    )
    return plan, result


def plan_of(context: Context, *, distilled: bool) -> Plan:
    """Return the plan every hospital of an arm is asked to approve."""
    options, budget = context.options, budget_of(context.options)
    task = get_task(context.facts["cohort"]["task"])
    teacher = context.facts["teacher"] if distilled else {}
    published = get_recipe(None, modality=task.modality)
    recipe = published.losses(from_weights=options.init is not None)
    return Plan.checked(
        task=task.name,
        classes=task.classes,
        student=options.student,
        image_size=options.pixels,
        preprocessing=PREPROCESSING_ID,
        rounds=options.rounds,
        local_epochs=options.passes_per_round,
        batch_size=budget.batch_size,
        learning_rate=budget.learning_rate,
        weight_decay=published.weight_decay,
        warmup=published.warmup,
        view_family=published.views(options.rounds * options.passes_per_round),
        views=min(budget.views, options.rounds * options.passes_per_round),  # a view nobody will see costs a teacher
        recipe=recipe if distilled else {"ce": 1.0, "kd": 0.0, "dist": 0.0},
        teacher_sha256=teacher.get("sha256"),
        teacher_arch=teacher.get("arch"),
        seed=options.seed,
        precision=budget.precision,
        balance=budget.balance,
        batch_norm=budget.batch_norm,
    )


def student_with(context: Context, weights: dict[str, np.ndarray]) -> Student:
    """Return the student with the given float arrays; its step counters stay at zero."""
    student = first_student(context, get_task(context.facts["cohort"]["task"]))
    state = {name: torch.from_numpy(np.asarray(array)) for name, array in weights.items()}
    missing, unexpected = student.load_state_dict(state, strict=False)
    assert not unexpected, "these arrays are of another student"
    assert all(is_counter(name) for name in missing), "only step counters may be missing"
    return student.eval()


def _initial(context: Context) -> dict[str, np.ndarray]:
    student = first_student(context, get_task(context.facts["cohort"]["task"]))
    return {name: tensor.numpy() for name, tensor in student.state_dict().items()}


def _lend_targets(context: Context, plan: Plan, folder: Path, holders: Sequence[int]) -> None:
    """Give a single hospital the targets it already computed for the federation; the cache's key says if they fit."""
    known = context.out / "arms" / FEDERATED / "sites" / f"{holders[0]}" / "cache"
    if plan.recipe.needs_teacher and len(holders) == 1 and known.is_dir() and not (folder / "cache").exists():
        shutil.copytree(known, folder / "cache")


def _prepared_sites(context: Context, arm: Arm, plan: Plan, folder: Path) -> list[Path]:
    """Write the folders of all hospitals of an arm; the data set is out of memory again before anything is trained."""
    dataset = Dataset.load(context.out / "work")
    return [
        _prepared_site(context, dataset, plan, folder / f"{index}", index, holders)
        for index, holders in enumerate(arm.holders)
    ]


def _prepared_site(
    context: Context, dataset: Dataset, plan: Plan, folder: Path, index: int, holders: Sequence[int]
) -> Path:
    """Write one hospital's folder; its policy approves exactly this plan."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in (TRAIN, VALIDATION):
        _joined(dataset, holders, split).save(folder / f"{split}.npz")
    _lend_targets(context, plan, folder, holders)
    if plan.teacher_sha256 is not None:
        shutil.copyfile(teacher_file(context.out), folder / "teacher.safetensors")
    write_json(folder / "policy.json", {"approved_plans": [plan.digest()], "min_rows": 1, "threads": STUDENT_THREADS})
    write_json(folder / "site.json", {"name": "+".join(dataset.hospitals[h] for h in holders), "index": index})
    return folder


def _joined(dataset: Dataset, holders: Sequence[int], split: str) -> PreparedImages:
    return PreparedImages.joined([dataset.part(holder, split) for holder in holders])
