"""`eyebright study crossval` end to end, on a few drawn patients: four columns, no leak, and going on after a kill."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from command_line import exit_code, run_command
from eyebright_common.tasks import get_task
from eyebright_simulations.cohorts import SiteSpec, generate
from eyebright_simulations.cohorts.oct import scanner_style
from eyebright_simulations.study.crossval_jobs import with_looks
from eyebright_simulations.study.crossval_result import COLUMNS, CrossvalResult
from eyebright_simulations.study.pictures import load_table
from eyebright_simulations.study.records import read_facts, read_predictions, student_job, teacher_job

SMALL = ("--image-size", 32, "--epochs", 2, "--teacher", "test_convnext2", "--student", "mobilenet_v2")
FAST = ("--replicates", 100, "--batch-size", 8, "--views", 1, "--test-views", 2)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mix = dict.fromkeys(get_task("oct").classes, 1.0)
    site = SiteSpec(name="clinic", style=scanner_style(0), patients=24, label_mix=mix)
    return generate("oct", tmp_path_factory.mktemp("drawn") / "cohort", seed=3, sites=[site], image_size=128)


def shuffled(manifest: Path) -> Path:
    other = manifest.with_name("shuffled.csv")
    with manifest.open(newline="") as file:
        head, *rows = csv.reader(file)
    random.Random(1).shuffle(rows)
    with other.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return other


def result_of(out: Path) -> CrossvalResult:
    return CrossvalResult.model_validate_json((out / "result.json").read_bytes())


@pytest.mark.slow
def test_teacher_and_student_are_measured_with_and_without_looks_and_a_kill_loses_one_job(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    words = ("study", "crossval", "--data", manifest, "--folds", 2, *SMALL, *FAST, "--out", out)
    code, printed, _ = run_command(capsys, *words)
    assert code == 0
    assert "of its teacher's balanced accuracy" in printed
    result = result_of(out)
    assert tuple(result.pooled) == COLUMNS
    assert [tuple(fold) for fold in result.folds] == [COLUMNS, COLUMNS]
    assert result.pictures_tested == result.data.images
    page = (out / "table.md").read_text()
    assert "| fold | teacher | teacher with TTA | student | student with TTA |" in page
    assert "mean ± deviation of folds" in page

    plain = read_predictions(out, teacher_job(0, 0)).probabilities
    looked = read_predictions(out, with_looks(teacher_job(0, 0))).probabilities
    assert not np.allclose(plain, looked)

    # A kill leaves a job without its facts, which are written last.
    killed, kept = (out / "jobs" / f"{student_job('kd', fold, 0)}.json" for fold in (0, 1))
    first, untouched = read_predictions(out, student_job("kd", 0, 0)).probabilities, kept.stat().st_mtime_ns
    killed.unlink()
    assert exit_code(*words, "--resume") == 0
    assert np.array_equal(read_predictions(out, student_job("kd", 0, 0)).probabilities, first)
    assert kept.stat().st_mtime_ns == untouched
    assert result_of(out).pooled == result.pooled

    code, _, problem = run_command(capsys, *words, "--resume", "--test-views", 3)
    assert code == 2
    assert "started with other options: test_views" in problem


@pytest.mark.slow
def test_the_teacher_of_a_fold_never_saw_its_students_test_patients_even_when_the_manifest_is_shuffled(
    manifest: Path, tmp_path: Path
) -> None:
    folds, answers = [], []
    for number, source in enumerate((manifest, shuffled(manifest))):
        out = tmp_path / str(number)
        words = ("--data", source, "--folds", 2, *SMALL, *FAST, "--epochs", 1, "--out", out)
        assert exit_code("study", "crossval", *words) == 0
        fold_of, groups, _ = load_table(out)
        folds.append(fold_of)
        for fold in range(2):
            teacher = read_predictions(out, teacher_job(0, fold))
            student = read_predictions(out, student_job("kd", fold, 0))
            learned = groups[np.concatenate([teacher.train, teacher.validation])]
            assert set(learned.tolist()).isdisjoint(groups[student.test].tolist())
            assert np.array_equal(student.test, np.flatnonzero(fold_of == fold))
            taught_by = read_facts(out, student_job("kd", fold, 0))["teacher_sha256"]
            assert taught_by == read_facts(out, teacher_job(0, fold))["sha256"]
            answers.append(student.probabilities)
    assert np.array_equal(*folds)
    assert all(np.array_equal(one, other) for one, other in zip(answers[:2], answers[2:], strict=True))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--folds", 1), "--folds must be at least 2"),
        (("--test-views", 1), "--test-views is out of range"),
        (("--recipe", "soup"), "unknown recipe: soup"),
        (("--teacher", "conv_next"), "unknown teacher: conv_next"),
        (("--student", "magic"), "unknown student: magic"),
        (("--data", "/no/such/manifest.csv"), "--data does not exist"),
    ],
)
def test_what_cannot_work_is_one_clear_error(
    words: tuple[object, ...], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, printed = run_command(capsys, "study", "crossval", *words, "--out", tmp_path / "out")
    assert code == 2
    assert problem in printed
    assert not (tmp_path / "out").exists()
