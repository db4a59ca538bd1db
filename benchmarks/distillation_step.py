"""What distillation costs when the teacher's targets come from the cache.

Claims, both against a plain supervised step of the same student on the same pictures: a step with CE + KD + DIST from
the cache takes at most 1.05 times as long; a step with *all* losses (decoupled distillation, partially cross-attention,
group-wise linear, adversarial alignment and the extra view on top, with cached features in every step) at most 1.25
times. Beside them, for scale: the naive step that asks the teacher itself, and the naive step of three views, which
takes every picture through teacher and student three times.

All arms go through the one training loop (views, losses, optimiser and all) on the same random pictures; pixels do not
matter to the time. Runs are interleaved, in turning order, so that a busy machine slows every arm alike; the
figures are medians. With ``--parts`` each loss on features is timed alone as well.
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
PLAIN, CACHED, ALL, LIVE, THREE = "plain", "cached", "all", "live", "three views"
ALL_LOSSES = Recipe(dkd=0.5, pca=0.05, gl=0.05, adversarial=0.05, multi_view=0.5)
PARTS = {
    "all/dkd": Recipe(dkd=0.5),
    "all/multi_view": Recipe(multi_view=0.5),
    "all/pca": Recipe(pca=0.05),
    "all/gl": Recipe(gl=0.05),
    "all/gl+adversarial": Recipe(gl=0.05, adversarial=0.05),
}

Arms = dict[str, Callable[[], float]]


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


def measure(arms: Arms, *, runs: int, live_runs: int) -> dict[str, list[float]]:
    """Return the times of every arm; the cached arms are warmed once, then all take turns."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    quick = [name for name in arms if name not in (LIVE, THREE)]
    for name in quick:
        arms[name]()
    for run in range(runs):
        turn = quick if run % 2 else quick[::-1]
        for name in turn + ([LIVE, THREE] if run < live_runs else []):
            times[name].append(arms[name]())
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--student", default="mobilenet_v2")
    parser.add_argument("--teacher", default="vit_base_patch16_224", help="one with attention")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="two threads on a busy machine wait for each other")
    parser.add_argument("--live-runs", type=int, default=2)
    parser.add_argument("--parts", action="store_true", help="time each loss on features alone as well")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    images = random_pictures(options.image_size)
    teacher = build_teacher(options.teacher, classes=CLASSES, image_size=options.image_size, seed=0)
    student = build_student(options.student, classes=CLASSES, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "teacher.cache"
        cache = TeacherCache.open_or_build(path, teacher=teacher, images=images, views=1, feature_views=1)
        times = measure(
            _arms(student, teacher, images, cache, parts=options.parts), runs=options.runs, live_runs=options.live_runs
        )
    show(_claims(times, options), as_json=options.json)


def _arms(student: Student, teacher: Teacher, images: PreparedImages, cache: TeacherCache, *, parts: bool) -> Arms:
    live = LiveTeacher(cache, teacher, images)

    def arm(recipe: Recipe, targets: TeacherCache | None, times: int = 1) -> Callable[[], float]:
        return lambda: sum(seconds_per_step(student, images, targets, recipe) for _ in range(times))

    arms = {
        PLAIN: arm(Recipe.supervised(), None),
        CACHED: arm(Recipe(), cache),
        ALL: arm(ALL_LOSSES, cache),
        LIVE: arm(Recipe(), live),
        THREE: arm(Recipe(), live, times=3),
    }
    return arms | {name: arm(recipe, cache) for name, recipe in PARTS.items() if parts}


def _claims(times: dict[str, list[float]], options: argparse.Namespace) -> list[Claim]:
    milliseconds = {name: 1000 * statistics.median(values) for name, values in times.items()}
    where = f"{options.student}, {options.image_size} px, batch {BATCH}"

    def against_plain(name: str, label: str, what: str, target: float) -> Claim:
        return Claim(
            name=label,
            what=f"{what} from the cache, {where}",
            value=milliseconds[name],
            unit="ms",
            baseline_name="plain supervised step",
            baseline_value=milliseconds[PLAIN],
            target=target,
            target_on="ratio",
            runs=options.runs,
        )

    def against_naive(name: str, label: str, what: str) -> Claim:
        return Claim(
            name=label,
            what="the step with all losses from the cache",
            value=milliseconds[ALL],
            unit="ms",
            baseline_name=f"{what} with {options.teacher} live",
            baseline_value=milliseconds[name],
            target=0.5,
            target_on="ratio",
            runs=options.live_runs,
        )

    return [
        against_plain(CACHED, "distillation_step", "CE + KD + DIST", 1.05),
        against_plain(ALL, "distillation_step/all", "all losses", 1.25),
        *(
            against_plain(name, f"distillation_step/{name}", "CE + KD + DIST + this", 1.25)
            for name in PARTS
            if name in times
        ),
        against_naive(LIVE, "distillation_step/live", "naive CE + KD + DIST step"),
        against_naive(THREE, "distillation_step/three_views", "naive step of three views"),
    ]


if __name__ == "__main__":
    main()
