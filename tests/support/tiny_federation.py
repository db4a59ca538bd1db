"""Small hospitals with real students: two classes' worth of coloured squares, at 32 px, made from a seed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from eyebright_client.app.work import student_arrays
from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import build_student, build_teacher

TASK = "oct-dme"
SIZE = 32
TEACHER = "test_resnet"


def pictures(count: int, seed: int, patient: str = "patient", size: int = SIZE) -> PreparedImages:
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = generator.integers(40, 120, (count, size, size, 3), dtype=np.uint8)
    pixels[labels == 1, size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] += 60
    return PreparedImages.of(pixels, labels, patients=[f"{patient}-{i}" for i in range(count)])


def tiny_plan(**changes: object) -> Plan:
    fields: dict[str, object] = {
        "task": TASK,
        "classes": get_task(TASK).classes,
        "student": "mobilenet_v2",
        "image_size": SIZE,
        "preprocessing": "test-1",
        "rounds": 2,
        "local_epochs": 1,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "views": 1,
        "recipe": {"ce": 1.0, "kd": 0.0, "dist": 0.0},
        "seed": 7,
    }
    return Plan.checked(**{**fields, **changes})


def tiny_teacher(path: Path) -> str:
    """Write a teacher and return its digest."""
    build_teacher(TEACHER, classes=2, image_size=SIZE, seed=1).save(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tiny_site(
    folder: Path, index: int, *plans: Plan, rows: int = 8, size: int = SIZE, approve: bool = True, threads: int = 1
) -> Path:
    folder.mkdir(parents=True)
    (folder / "site.json").write_text(json.dumps({"name": f"Hospital {index}", "index": index}))
    approved = [plan.digest() for plan in plans] if approve else []
    (folder / "policy.json").write_text(json.dumps({"approved_plans": approved, "min_rows": 2, "threads": threads}))
    pictures(rows, 10 + index, size=size).save(folder / "train.npz")
    pictures(8, 100 + index, size=size).save(folder / "validation.npz")
    return folder


def tiny_initial(plan: Plan) -> dict[str, np.ndarray]:
    return student_arrays(build_student(plan.student, classes=len(plan.classes), seed=plan.seed))
