"""`eyebright server rounds plan`, and runs that begin with given weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from command_line import exit_code, run_command
from eyebright_common.digests import sha256_of
from eyebright_common.plan import Plan
from eyebright_learning.models import build_student, save_weights
from eyebright_learning.views import AUGMENTATION_ID, STRONG_STUDENT
from eyebright_server.federation.warm_start import fresh_student
from eyebright_server.student_recipes import get_recipe
from learning_pictures import small_teacher
from tiny_federation import tiny_plan


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    small_teacher(size=64).save(tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


def written(capsys: pytest.CaptureFixture[str], file: Path, *more: object) -> tuple[Plan, dict[str, Any]]:
    code, out, err = run_command(capsys, "server", "rounds", "plan", file, "--json", *more)
    assert code == 0, err
    return Plan.from_json(file.read_bytes()), json.loads(out)


def refused(capsys: pytest.CaptureFixture[str], file: Path, *more: object) -> str:
    before = file.read_bytes() if file.exists() else None
    code, _, err = run_command(capsys, "server", "rounds", "plan", file, *more)
    assert code == 2
    assert (file.read_bytes() if file.exists() else None) == before
    return err


def test_a_plan_with_a_teacher_names_its_file_and_takes_its_size(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, told = written(capsys, tmp_path / "plan.json", "--teacher", teacher, "--rounds", 2, "--local-epochs", 1)
    assert (plan.teacher_sha256, plan.teacher_arch) == (sha256_of(teacher), "test_vit")
    assert (plan.image_size, plan.views, plan.balance) == (64, 2, "prior")
    assert plan.recipe.needs_teacher
    assert told["digest"] == plan.digest()


def test_a_plan_without_a_teacher_learns_from_labels_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, _ = written(capsys, tmp_path / "plan.json")
    gentle, _ = written(capsys, tmp_path / "gentle.json", "--from-weights")
    assert not plan.recipe.needs_teacher
    assert plan.teacher_sha256 is None
    gentlest, _ = written(capsys, tmp_path / "gentlest.json", "--from-student")
    assert gentlest.learning_rate < gentle.learning_rate < plan.learning_rate
    assert (gentlest.batch_norm, gentle.batch_norm, plan.batch_norm) == ("frozen", "average", "average")


def test_frozen_statistics_want_a_student_that_has_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(capsys, tmp_path / "plan.json", "--from-student")
    assert exit_code("server", "init", tmp_path / "operator") == 0
    words = ("server", "rounds", "start", tmp_path / "operator", "autumn", "--plan", tmp_path / "plan.json")
    code, _, problem = run_command(capsys, *words, "--site", tmp_path)
    assert (code, "Give --init or --release" in problem) == (2, True)
    assert not (tmp_path / "operator" / "rounds" / "autumn").exists()


def test_a_run_begins_with_one_thing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "do not go together" in refused(capsys, tmp_path / "plan.json", "--from-weights", "--from-student")


@pytest.mark.parametrize(
    ("task", "more", "student", "family", "weight_decay"),
    [
        ("fundus", (), "mobilenet_v2", AUGMENTATION_ID, 0.02),
        ("oct", ("--rounds", "20"), "efficientnet_b2", STRONG_STUDENT, 0.01),
        ("oct", ("--rounds", "5"), "efficientnet_b2", AUGMENTATION_ID, 0.01),
        ("oct", ("--recipe", "fundus-vit"), "mobilenet_v2", AUGMENTATION_ID, 0.02),
        ("oct", ("--student", "resnet18", "--rounds", "20"), "resnet18", STRONG_STUDENT, 0.01),
    ],
)
def test_a_plan_follows_the_recipe_for_its_pictures(
    task: str,
    more: tuple[str, ...],
    student: str,
    family: str,
    weight_decay: float,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan, _ = written(capsys, tmp_path / "plan.json", "--task", task, *more)
    assert (plan.student, plan.view_family, plan.weight_decay) == (student, family, weight_decay)


@pytest.mark.parametrize("modality", ["CFP", "OCT"])
def test_labels_lead_from_given_weights_and_only_fundus_has_the_relational_term(modality: str) -> None:
    recipe = get_recipe(None, modality=modality)
    fresh, known = (recipe.losses(from_weights=begun) for begun in (False, True))
    assert fresh["ce"] < fresh["kd"]
    assert known["ce"] > known["kd"]
    assert {bool(losses["dist"]) for losses in (fresh, known)} == {modality == "CFP"}


def test_from_given_weights_a_plan_is_led_by_labels(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, _ = written(capsys, tmp_path / "plan.json", "--teacher", teacher, "--from-weights")
    assert (plan.recipe.ce, plan.recipe.kd, plan.recipe.dist) == (1.0, 0.3, 0.3)


def test_what_cannot_be_a_plan_is_refused_and_writes_nothing(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, student = tmp_path / "plan.json", tmp_path / "student.safetensors"
    save_weights(build_student("mobilenet_v2", classes=4, seed=0), student)
    assert "unknown student: vgg" in refused(capsys, file, "--student", "vgg")
    assert "multiple of 32" in refused(capsys, file, "--image-size", 100)
    assert "greater than or equal to 32" in refused(capsys, file, "--image-size", 0)
    assert "unknown task" in refused(capsys, file, "--task", "skin")
    assert "not a teacher" in refused(capsys, file, "--teacher", student)
    assert "4 classes, and task oct-dme has 2" in refused(capsys, file, "--task", "oct-dme", "--teacher", teacher)
    written(capsys, file)
    assert "would overwrite a file" in refused(capsys, file)


def test_a_run_begins_with_the_given_weights_and_a_head_of_its_own(tmp_path: Path) -> None:
    plan = tiny_plan()
    given = build_student(plan.student, classes=1000, seed=5)
    save_weights(given, tmp_path / "imagenet.safetensors")
    begun, fresh = fresh_student(plan, tmp_path / "imagenet.safetensors"), fresh_student(plan)
    body = [name for name in begun if not name.startswith(given.head_prefix)]
    assert all(torch.equal(torch.from_numpy(begun[name]), given.state_dict()[name]) for name in body)
    head = [name for name in begun if name.startswith(given.head_prefix)]
    assert head
    assert all((begun[name] == fresh[name]).all() for name in head)


def test_weights_and_a_release_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = (
        "--plan",
        tmp_path / "p",
        "--init",
        tmp_path / "i",
        "--release",
        tmp_path / "r",
        "--weights",
        tmp_path / "w",
    )
    code, _, err = run_command(capsys, "server", "rounds", "start", tmp_path, "autumn", *more)
    assert code == 2
    assert "--init and --release do not go together" in err
