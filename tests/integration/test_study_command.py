"""`eyebright study` end to end, on a few drawn patients: what it leaves behind, and going on after a kill."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from command_line import exit_code, run_command
from eyebright_common.tasks import get_task
from eyebright_simulations.cohorts import SiteSpec, generate
from eyebright_simulations.cohorts.fundus import camera_style
from eyebright_simulations.study.pictures import load_table
from eyebright_simulations.study.records import read_predictions, student_job, teacher_job
from eyebright_simulations.study.result_schema import read_result

SMALL = ("--image-size", 32, "--epochs", 1, "--teacher", "test_vit", "--replicates", 100, "--batch-size", 8)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mix = dict.fromkeys(get_task("fundus").classes, 1.0)
    site = SiteSpec(name="clinic", style=camera_style(0), patients=24, label_mix=mix)
    return generate("fundus", tmp_path_factory.mktemp("drawn") / "cohort", seed=3, sites=[site], image_size=128)


@pytest.mark.slow
def test_an_ablation_leaves_a_table_a_plot_and_a_result_and_can_be_widened(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    common = ("study", "ablation", "--data", manifest, "--folds", 2, *SMALL, "--out", out)
    code, printed, _ = run_command(capsys, *common, "--arms", "kd", "--max-folds", 1)
    assert code == 0
    assert "TEACHER" in printed or "beats the CE-only control" in printed
    result = read_result(out / "result.json")
    assert [row.name for row in result.rows] == ["ce", "kd", "test_vit"]
    assert result.folds_run == 1
    assert result.control.verdict == "control"
    assert "Only 1 of 2 folds" in (out / "table.md").read_text()
    assert (out / "plot.svg").read_text().startswith("<svg")

    first = read_predictions(out, student_job("kd", 0, 0)).probabilities
    # A kill leaves a job without its facts, which are written last.
    (out / "jobs" / f"{student_job('kd', 0, 0)}.json").unlink()
    untouched = (out / "jobs" / f"{student_job('ce', 0, 0)}.json").stat().st_mtime_ns
    assert exit_code(*common, "--arms", "kd,all", "--resume") == 0
    wider = read_result(out / "result.json")
    assert wider.pictures_tested == wider.data.images
    assert [row.name for row in wider.rows] == ["ce", "kd", "all", "test_vit"]
    assert (out / "jobs" / f"{student_job('ce', 0, 0)}.json").stat().st_mtime_ns == untouched
    assert np.array_equal(read_predictions(out, student_job("kd", 0, 0)).probabilities, first)

    code, _, problem = run_command(capsys, *common, "--arms", "kd", "--resume", "--views", 3, "--learning-rate", 0.1)
    assert code == 2
    assert "started with other options: learning_rate, views" in problem


@pytest.mark.slow
def test_no_teacher_sees_a_test_patient_even_when_the_manifest_is_shuffled(manifest: Path, tmp_path: Path) -> None:
    shuffled = manifest.with_name("shuffled.csv")
    with manifest.open(newline="") as file:
        head, *rows = csv.reader(file)
    random.Random(1).shuffle(rows)
    with shuffled.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    folds = []
    for number, source in enumerate((manifest, shuffled)):
        out = tmp_path / str(number)
        words = ("--teachers", "test_vit", "--data", source, "--folds", 2, "--out", out, *SMALL[:4], *SMALL[6:])
        assert exit_code("study", "teachers", *words) == 0
        fold_of, groups, _ = load_table(out)
        folds.append(fold_of)
        for fold in range(2):
            teacher = read_predictions(out, teacher_job(0, fold))
            learned = set(groups[np.concatenate([teacher.train, teacher.validation])].tolist())
            assert learned.isdisjoint(groups[fold_of == fold].tolist())
            assert np.array_equal(teacher.test, np.flatnonzero(fold_of == fold))
    assert np.array_equal(*folds)


@pytest.mark.slow
def test_an_arm_that_needs_features_is_skipped_aloud_when_the_teacher_has_none(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    words = ("--data", manifest, "--folds", 2, "--max-folds", 1, "--out", out, *SMALL[:4], *SMALL[6:])
    assert exit_code("study", "ablation", "--teacher", "test_convnext2", "--arms", "kd,gl", *words) == 0
    result = read_result(out / "result.json")
    assert [row.name for row in result.rows if row.role != "teacher"] == ["ce", "kd"]
    assert [(one.name, "needs features" in one.reason) for one in result.skipped] == [("gl", True)]
    assert any(finding.startswith("Not run: gl") for finding in result.findings)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("ablation", "--arms", "ce,magic"), "unknown arm: magic"),
        (("ablation", "--arms", "ce"), "needs an arm beside the control"),
        (("ablation", "--folds", 1), "--folds must be at least 2"),
        (("ablation", "--data", "/no/such/manifest.csv"), "--data does not exist"),
        (("ablation", "--init", "/no/such/weights"), "--init does not exist"),
        (("ablation", "--weights", "kd=-1"), "--weights wants TERM=NUMBER"),
        (("ablation", "--weights", "love=1"), "unknown term in --weights"),
        (("ablation", "--recipe", "soup"), "unknown recipe: soup"),
        (("ablation", "--image-size", 100), "multiple of 32"),
        (("teachers", "--teachers", "test_vit,test_vit"), "a teacher is named twice"),
    ],
)
def test_what_cannot_work_is_one_clear_error(
    words: tuple[object, ...], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, printed = run_command(capsys, "study", *words, "--out", tmp_path / "out")
    assert code == 2
    assert problem in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_more_folds_than_patients_is_one_clear_error(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", manifest, "--folds", 40, "--arms", "kd", "--out", tmp_path / "out", *SMALL)
    code, _, printed = run_command(capsys, "study", "ablation", *words)
    assert code == 2
    assert "groups of patients cannot fill 40 folds" in printed
