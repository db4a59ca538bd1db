"""`eyebright server first-student`: what rounds begin with, with a record one can trust."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from command_line import exit_code, run_command
from eyebright_common.plan import Plan
from eyebright_learning.evaluation import predict, softmax
from eyebright_learning.models import build_student, save_weights
from eyebright_server.federation.warm_start import fresh_student
from eyebright_server.first_student.record import FirstStudentRecord
from eyebright_server.student_recipes import RECIPES
from eyebright_server.teacher.facts import read_facts, read_part
from learning_pictures import small_teacher
from prepared_folders import prepared_folder

STUDENT = "mobilenet_v2"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_folder(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    small_teacher().save(path)
    return path


def run(capsys: pytest.CaptureFixture[str], images: Path, out: Path, *more: object) -> tuple[int, str, str]:
    words = ("server", "first-student", "--images", images, "--out", out, "--device", "cpu", "--batch-size", 8)
    return run_command(capsys, *words, "--epochs", 1, "--threads", 1, *more)


def record_of(out: Path) -> FirstStudentRecord:
    return FirstStudentRecord.model_validate_json((out / "student.json").read_bytes())


def test_a_student_is_left_with_its_figures_and_they_are_those_of_its_file(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run(capsys, images, tmp_path, "--epochs", 2)
    assert code == 0
    assert "epoch 2/2" in printed
    assert "labels alone" in printed
    record = record_of(tmp_path)
    path = tmp_path / record.weights
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record.start.kind, record.teacher_sha256, record.losses) == ("random", None, {"ce": 1.0})
    student = build_student(record.architecture, classes=4, seed=1, weights=path).eval()
    test = read_part(images, read_facts(images), "test")
    right = softmax(predict(student, test.pixels)).argmax(axis=1) == test.labels
    assert record.test is not None
    assert record.test.figures["accuracy"].value == pytest.approx(float(np.mean(right)))


def test_rounds_begin_with_exactly_this_student(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, images, tmp_path / "first")[0] == 0
    file = tmp_path / "first" / "student.safetensors"
    words = ("server", "rounds", "plan", tmp_path / "plan.json", "--student", STUDENT, "--image-size", 32)
    assert exit_code(*words, "--from-student") == 0
    begun = fresh_student(Plan.from_json((tmp_path / "plan.json").read_bytes()), file)
    made = build_student(STUDENT, classes=4, seed=99, weights=file).state_dict()
    assert begun
    assert all(np.array_equal(array, made[name].numpy()) for name, array in begun.items())


def test_a_teacher_and_given_weights_are_in_the_record_and_change_the_student(
    images: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "given.safetensors"
    save_weights(build_student(STUDENT, classes=1000, seed=5), weights)
    code, printed, _ = run(capsys, images, tmp_path / "taught", "--init", weights, "--teacher", teacher)
    assert code == 0
    assert "labels and teacher" in printed
    assert " kB of answers in " in printed
    assert "the teacher has answered 24 of 24 times" in printed
    record = record_of(tmp_path / "taught")
    assert record.losses == RECIPES["fundus-vit"].losses(from_weights=True)
    assert (record.start.kind, record.start.sha256) == ("weights", hashlib.sha256(weights.read_bytes()).hexdigest())
    assert record.teacher_sha256 == hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert {"ce", "kd", "dist"} <= record.history[0].losses.keys()
    assert run(capsys, images, tmp_path / "alone", "--init", weights)[0] == 0
    assert record_of(tmp_path / "alone").sha256 != record.sha256


def test_the_same_seed_gives_the_same_file_and_another_seed_another(
    images: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(capsys, images, tmp_path / name, "--teacher", teacher, "--seed", seed)[0] == 0
    digests = {name: record_of(tmp_path / name).sha256 for name in "abc"}
    assert digests["a"] == digests["b"] != digests["c"]


def test_a_used_folder_is_refused_continued_or_begun_again(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, images, tmp_path)[0] == 0
    first = (tmp_path / "student.safetensors").read_bytes()
    code, _, problem = run(capsys, images, tmp_path)
    assert (code, "in use" in problem) == (2, True)
    code, printed, _ = run(capsys, images, tmp_path, "--resume")
    assert (code, "epoch" in printed) == (0, False)
    assert (tmp_path / "student.safetensors").read_bytes() == first
    code, _, problem = run(capsys, images, tmp_path, "--epochs", 2, "--resume")
    assert (code, "another training" in problem) == (2, True)
    assert run(capsys, images, tmp_path, "--force", "--seed", 1)[0] == 0
    assert (tmp_path / "student.safetensors").read_bytes() != first


def test_json_is_one_object_and_the_epochs_go_elsewhere(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, progress = run(capsys, images, tmp_path, "--json")
    assert code == 0
    assert json.loads(printed) == json.loads((tmp_path / "student.json").read_text())
    assert "epoch 1/1" in progress


def test_what_does_not_fit_is_one_clear_error_and_nothing_is_trained(
    images: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = tmp_path / "large.safetensors"
    small_teacher(size=64).save(large)
    few = tmp_path / "few.safetensors"
    small_teacher(classes=2).save(few)
    out = tmp_path / "out"
    for words, told in (
        (("--teacher", large), "4 classes at 64 px"),
        (("--teacher", few), "2 classes at 32 px"),
        (("--teacher", tmp_path / "none.safetensors"), "none.safetensors"),
        (("--teacher", images / "train.npz"), "train.npz"),
        (("--init", tmp_path / "none.safetensors"), "weights cannot be read"),
        (("--init", teacher), "a key is missing"),
        (("--student", "oak"), "unknown student"),
        (("--recipe", "kitchen"), "unknown recipe"),
        (("--learning-rate", 0.0), "learning_rate"),
        (("--learning-rate", -1.0), "learning_rate"),
        (("--images", tmp_path), "teacher prepare"),
    ):
        code, printed, problem = run(capsys, images, out, *words)
        assert (code, told in " ".join(problem.split()), "epoch" in printed) == (2, True, False), (words, problem)
    assert not (out / "student.safetensors").exists()
