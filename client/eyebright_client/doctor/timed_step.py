"""One timed piece of real training, in a process of its own: ``python -m eyebright_client.doctor.timed_step …``.

* The real student, loop and views on noise of the right size: how fast this machine is does not depend on the pictures.
* The first stretch warms up (memory, kernels) and is not counted. What is printed is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

from eyebright_common.memory import peak_resident_bytes
from eyebright_common.tasks import get_task

_STEPS = 2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    found = measure(chosen.task, size=chosen.size, batch=chosen.batch, threads=chosen.threads)
    sys.stdout.write(json.dumps(found) + "\n")


def measure(task_name: str, *, size: int, batch: int, threads: int) -> dict[str, float | int | bool]:
    """Return seconds per training step of the task's student, and the memory it took.

    Args:
        task_name: A screening task.
        size: Side of the prepared pictures in pixels.
        batch: Pictures per step.
        threads: Processor threads.
    """
    import torch

    from eyebright_learning.data import PreparedImages
    from eyebright_learning.distillation import Recipe
    from eyebright_learning.models import build_student
    from eyebright_learning.training import StudentTraining, train_student

    task = get_task(task_name)
    generator = np.random.default_rng(0)
    student = build_student(task.student, classes=len(task.classes), seed=0)
    config = StudentTraining(epochs=1, batch_size=batch, modality=task.modality, threads=threads)
    seconds = 0.0
    for steps in (1, _STEPS):
        pixels = generator.integers(0, 256, (steps * batch, size, size, 3), dtype=np.uint8)
        labels = np.arange(steps * batch) % len(task.classes)
        images = PreparedImages.of(pixels, labels)
        begun = time.perf_counter()
        train_student(student, images, cache=None, recipe=Recipe.supervised(), config=config)
        seconds = (time.perf_counter() - begun) / steps
    return {
        "seconds_per_step": round(seconds, 3),
        "batch": batch,
        "peak_memory_bytes": peak_resident_bytes(),
        "gpu": bool(torch.cuda.is_available()),
    }


if __name__ == "__main__":
    main()
