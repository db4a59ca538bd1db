"""Checking a release on any data: the file that ships, through the code that screening units run.

* The release is verified, then proves its golden cases on this machine; only then is it judged.
* Labels are read for the release's own task, whatever other tasks would fit the data.
* Pictures are decoded, judged for quality and prepared exactly as for training, then run one at a time. They are
  streamed: of each, only its answer and 8 kB by which copies are found are kept.
* Every row of the manifest is graded, ungradable, or left out for one counted reason.
* Nothing is fitted here: temperature and threshold come from the release.

No torch: a stranger with the ``server`` extra's ONNX Runtime gets an answer in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from eyebright_common.digests import sha256_of
from eyebright_common.errors import InputError, ReleaseError
from eyebright_common.imaging import PREPROCESSING_ID, model_input
from eyebright_common.manifest import Row, load_prepared, read_dataset
from eyebright_common.release import MODEL_FILE, RELEASE_FILE, Release, prove, read_golden, read_release
from eyebright_common.tasks import ScreeningTask, get_task
from eyebright_server.release.reference_runtime import ReferenceRuntime
from eyebright_server.release.reviewing import Review
from eyebright_server.release.tally import Graded, Outcome, tally

EVALUATION_SCHEMA = "eyebright.evaluation/2"

_SEARCH_DEPTH = 6

Progress = Callable[[int, int], None]


def evaluate_release(
    release_dir: Path,
    manifest_path: Path,
    *,
    workers: int = 2,
    review: Review | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a release over a manifest and return what came of it, as plain JSON values.

    Args:
        release_dir: A release folder, or a run folder with exactly one release in it.
        manifest_path: A manifest file or a folder per class.
        workers: Pictures in work at the same time.
        review: What is asked for beside the usual metrics.
        on_progress: Called with ``(pictures done, pictures in all)``.

    Returns:
        ``schema, release, data, golden, overall, sites, intervals, with_ungradable_as_refer, patients, ungradable,
        ungradable_reasons, left_out`` (``overall`` and every site are the usual metrics of the graded pictures), and
        ``criteria, bootstrap, duplicates, statistics, strata, curves``, described in ``docs/guides/evaluation.md``.

    Raises:
        ReleaseError: there is no release, it cannot be run here, or not by this version.
        TargetRejected: a file of it is not the one listed.
        GoldenMismatch: it fails its golden cases on this machine.
        InputError: the data cannot be used for the release's task, or nothing in it can be graded.
    """
    folder = find_release(release_dir)
    release = read_release(folder)
    task = task_of(release)
    manifest, _ = read_dataset(manifest_path, task_family=release.task, exact=True)
    runtime = ReferenceRuntime(folder / MODEL_FILE)
    golden = prove(runtime.run, read_golden(folder, release))
    golden.require("ONNX Runtime on this machine")
    outcomes = list(outcomes_of(manifest.rows, release, runtime, workers=workers, on_progress=on_progress))
    if not any(not isinstance(outcome, str) for outcome in outcomes):
        raise InputError(
            "not one picture of the data can be graded",
            value=f"{manifest.source}, {len(outcomes)} rows: {', '.join(sorted({str(o) for o in outcomes}))}",
            fix="Run `eyebright edge quality` on the folder to see why.",
        )
    return {
        "schema": EVALUATION_SCHEMA,
        "release": {
            "task": release.task,
            "version": release.version,
            "classes": list(release.classes),
            "model_sha256": release.artefact(MODEL_FILE).sha256,
            "notice": release.notice,
        },
        "data": {"source": str(manifest.source), "digest": manifest.digest, "rows": len(manifest.rows)},
        "golden": {
            "cases": golden.cases,
            "max_abs_logit_difference": golden.max_abs_logit_difference,
            "decision_flips": golden.decision_flips,
        },
        **tally(
            manifest.rows,
            outcomes,
            release=release,
            task=task,
            left_out=manifest.left_out,
            review=review or Review(),
        ),
    }


def find_release(path: Path) -> Path:
    """Return the release folder at or below ``path``; copies of one release count once.

    Raises:
        ReleaseError: there is none, or there are several.
    """
    if (path / RELEASE_FILE).is_file():
        return path
    found = {sha256_of(file): file.parent for file in sorted(_release_files(path), reverse=True)}
    if len(found) == 1:
        return next(iter(found.values()))
    fix = f"Name the folder in which {RELEASE_FILE} and {MODEL_FILE} lie."
    if not found:
        raise ReleaseError("there is no release here", value=path, fix=fix)
    raise ReleaseError(
        f"there are {len(found)} different releases here", value=", ".join(map(str, found.values())), fix=fix
    )


def _release_files(path: Path) -> Iterator[Path]:
    for file in path.rglob(RELEASE_FILE):
        below = file.relative_to(path).parts
        # Hidden folders are drafts of a build that was cut short.
        if len(below) <= _SEARCH_DEPTH and not any(part.startswith(".") for part in below):
            yield file


def task_of(release: Release) -> ScreeningTask:
    """Return the task of a release, if this software still has it as the release does.

    Raises:
        ReleaseError: it has not.
    """
    task = get_task(release.task)
    if task.classes != release.classes or task.referable != frozenset(release.referable):
        raise ReleaseError(
            f"the classes of task {task.name!r} have changed since this release",
            value=f"{', '.join(release.classes)} (now {', '.join(task.classes)})",
            fix="Use the version of Eyebright that built it.",
        )
    if release.preprocessing.id != PREPROCESSING_ID:
        raise ReleaseError(
            "this release was trained on pictures prepared in another way",
            value=f"{release.preprocessing.id}, this version has {PREPROCESSING_ID}",
            fix="Use the version of Eyebright that built it.",
        )
    return task


def outcomes_of(
    rows: Sequence[Row],
    release: Release,
    runtime: ReferenceRuntime,
    *,
    workers: int = 2,
    on_progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Yield what became of each row: what the network says, or why it was not asked.

    Args:
        rows: Of a manifest.
        release: Gives modality and size.
        runtime: Its model.
        workers: Pictures in work at the same time.
        on_progress: Called with ``(pictures done, pictures in all)``.
    """

    def judge(row: Row) -> Outcome:
        return _outcome(row, release, runtime)

    # Decoding and inference leave the interpreter lock, so threads are enough.
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for done, outcome in enumerate(pool.map(judge, rows), start=1):
            if on_progress is not None:
                on_progress(done, len(rows))
            yield outcome


def _outcome(row: Row, release: Release, runtime: ReferenceRuntime) -> Outcome:
    loaded = load_prepared([row], modality=release.modality, size=release.preprocessing.image_size, workers=1)
    if loaded.problems:
        return loaded.problems[0][1]
    logits, _ = runtime.run(model_input(loaded.pixels[0]))
    # Half precision halves the memory; a correlation moves in its fourth decimal.
    return Graded(logits=logits[0], quality=loaded.verdicts[0], descriptor=loaded.descriptors[0].astype(np.float16))
