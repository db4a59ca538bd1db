"""What distillation costs when the teacher's targets come from the cache.

Claim: a step with CE + KD + DIST from the cache takes at most 1.05 times a plain supervised step of the same student on
the same pictures. Beside it, for scale: the naive step that asks the teacher itself.

All arms go through the one training loop (views, losses, optimiser and all) on the same random pictures; pixels do not
matter to the time. Runs are interleaved, in turning order, so that a busy machine slows every arm alike; the
figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from claim import Claim, show

from eyebright_learning.data import PreparedImages
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import Student, Teacher, build_student, build_teacher
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training import StudentTraining, fit
from eyebright_learning.views import augment

CLASSES = 4
STEPS = 2
BATCH = 32
PLAIN, CACHED, LIVE = "plain", "cached", "live"


class LiveTeacher(TeacherCache):
    """The naive way: the same targets, from the teacher itself in every step."""

    def __init__(self, known: TeacherCache, teacher: Teacher, images: PreparedImages) -> None:
        super().__init__(known.header, known.records)
        self.teacher, self.images = teacher.eval(), images

    def targets(self, index: npt.ArrayLike, view: int) -> npt.NDArray[np.float32]:
        """Return calibrated teacher logits by running the teacher over the view."""
        seen = self.images.subset(index)
        with torch.inference_mode():
            return np.asarray(self.teacher.calibrated(augment(seen.pixels, seen.digests, view)))


def random_pictures(size: int) -> PreparedImages:
    """Return as many pictures as fill the steps of one run."""
    generator = np.random.default_rng(0)
    count = STEPS * BATCH
    return PreparedImages.of(
        generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8), np.arange(count) % CLASSES
    )


def seconds_per_step(student: Student, images: PreparedImages, cache: TeacherCache | None, recipe: Recipe) -> float:
    """Train one short stretch and return the mean time of its steps."""
    config = StudentTraining(epochs=1, batch_size=BATCH)
    start = time.perf_counter()
    result = fit(student, images, classes=CLASSES, recipe=recipe, config=config, cache=cache)
    return (time.perf_counter() - start) / result.steps


def measure(arms: dict[str, Callable[[], float]], *, runs: int, live_runs: int) -> dict[str, list[float]]:
    """Return the times of every arm; each arm is warmed once, then all take turns."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    for name in (PLAIN, CACHED):
        arms[name]()
    for run in range(runs):
        turn = [PLAIN, CACHED] if run % 2 else [CACHED, PLAIN]
        for name in turn + ([LIVE] if run < live_runs else []):
            times[name].append(arms[name]())
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--student", default="mobilenet_v2")
    parser.add_argument("--teacher", default="vit_base_patch16_224")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="two threads on a busy machine wait for each other")
    parser.add_argument("--live-runs", type=int, default=2)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    images = random_pictures(options.image_size)
    teacher = build_teacher(options.teacher, classes=CLASSES, image_size=options.image_size, seed=0)
    student = build_student(options.student, classes=CLASSES, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        cache = TeacherCache.open_or_build(Path(folder) / "teacher.cache", teacher=teacher, images=images, views=1)
    live = LiveTeacher(cache, teacher, images)
    arms = {
        PLAIN: lambda: seconds_per_step(student, images, None, Recipe.supervised()),
        CACHED: lambda: seconds_per_step(student, images, cache, Recipe()),
        LIVE: lambda: seconds_per_step(student, images, live, Recipe()),
    }
    times = measure(arms, runs=options.runs, live_runs=options.live_runs)
    show(_claims(times, options), as_json=options.json)


def _claims(times: dict[str, list[float]], options: argparse.Namespace) -> list[Claim]:
    size, milliseconds = options.image_size, {name: 1000 * statistics.median(values) for name, values in times.items()}
    cached = Claim(
        name="distillation_step",
        what=f"CE + KD + DIST from the cache, {options.student}, {size} px, batch {BATCH}",
        value=milliseconds[CACHED],
        unit="ms",
        baseline_name="plain supervised step",
        baseline_value=milliseconds[PLAIN],
        target=1.05,
        target_on="ratio",
        runs=options.runs,
    )
    against_live = Claim(
        name="distillation_step/live",
        what="the same step from the cache",
        value=milliseconds[CACHED],
        unit="ms",
        baseline_name=f"naive step with {options.teacher} live",
        baseline_value=milliseconds[LIVE],
        target=0.5,
        target_on="ratio",
        runs=options.live_runs,
    )
    return [cached, against_live]


if __name__ == "__main__":
    main()
