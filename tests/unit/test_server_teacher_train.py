"""`eyebright server teacher train`, in its smoke size: any teacher, from any start, with a record one can trust."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from command_line import run_command
from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import predict, softmax
from eyebright_learning.models import build_student, check_teacher, read_teacher, save_weights
from eyebright_learning.pretraining import EncoderConfig, build_encoder, save_encoder
from eyebright_learning.views import STRONG_TEACHER
from eyebright_server.teacher.facts import read_facts, read_part
from eyebright_server.teacher.recipes import RECIPES, default_teacher, get_recipe
from eyebright_server.teacher.record import TeacherRecord
from eyebright_server.teacher.training import Beginning
from prepared_folders import prepared_folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_folder(tmp_path_factory.mktemp("prepared"))


def run(capsys: pytest.CaptureFixture[str], images: Path, out: Path, *more: object) -> tuple[int, str, str]:
    words = ("server", "teacher", "train", "--images", images, "--out", out, "--smoke", "--device", "cpu")
    return run_command(capsys, *words, "--threads", 1, *more)


def record_of(out: Path) -> TeacherRecord:
    return TeacherRecord.model_validate_json((out / "teacher.json").read_bytes())


def test_a_teacher_is_left_with_its_figures_and_they_are_those_of_its_file(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run(capsys, images, tmp_path)
    assert code == 0
    assert "epoch 6/6" in printed
    assert "balanced accuracy" in printed
    record = record_of(tmp_path)
    path = tmp_path / record.weights
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    teacher, test = read_teacher(path), read_part(images, read_facts(images), "test")
    assert record.temperature == float(teacher.temperature)
    p = softmax(predict(teacher, test.pixels), temperature=record.temperature)
    assert record.test is not None
    figure = record.test.figures["accuracy"]
    assert figure.value == pytest.approx(float(np.mean(p.argmax(axis=1) == test.labels)))
    assert figure.lower is not None
    assert figure.lower <= figure.value <= figure.upper


def test_json_is_one_object_and_the_epochs_go_elsewhere(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, progress = run(capsys, images, tmp_path, "--epochs", 1, "--json")
    assert code == 0
    assert json.loads(printed) == json.loads((tmp_path / "teacher.json").read_text())
    assert "epoch 1/1" in progress


def test_a_used_folder_is_refused_continued_or_begun_again(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, images, tmp_path, "--epochs", 1)[0] == 0
    first = (tmp_path / "teacher.safetensors").read_bytes()
    code, _, problem = run(capsys, images, tmp_path, "--epochs", 1)
    assert (code, "in use" in problem) == (2, True)
    code, printed, _ = run(capsys, images, tmp_path, "--epochs", 1, "--resume")
    assert (code, "epoch" in printed) == (0, False)
    assert (tmp_path / "teacher.safetensors").read_bytes() == first
    code, _, problem = run(capsys, images, tmp_path, "--epochs", 2, "--resume")
    assert (code, "another training" in problem) == (2, True)
    assert run(capsys, images, tmp_path, "--epochs", 1, "--force", "--seed", 1)[0] == 0
    assert (tmp_path / "teacher.safetensors").read_bytes() != first


def test_the_oct_recipe_runs_to_its_end_on_its_own_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = prepared_folder(tmp_path / "images", task="oct-neh", counts=(12, 6))
    code, _, _ = run(capsys, folder, tmp_path / "out")
    assert code == 0
    record = record_of(tmp_path / "out")
    assert (record.recipe, record.architecture, record.losses) == ("oct-convnext", "test_convnext2", {"focal": 2.0})
    assert record.training["averaging_start"] == pytest.approx(2 / 3)
    assert record.training["view_family"] == STRONG_TEACHER
    assert record.test is None


def test_figures_with_test_time_augmentation_stand_beside_the_plain_ones(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for looks in (1, 3):
        code, printed, _ = run(capsys, images, tmp_path / str(looks), "--epochs", 1, "--looks", looks)
        assert code == 0
        assert ("With 3 looks" in printed) == (looks == 3)
    plain, looked = record_of(tmp_path / "1"), record_of(tmp_path / "3")
    assert plain.test_with_looks is None
    assert (looked.validation, looked.test) == (plain.validation, plain.test)
    assert looked.test_with_looks != looked.test


def test_an_ensemble_is_trained_member_by_member(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run(capsys, images, tmp_path, "--teacher", "ensemble:test_vit+test_vit", "--epochs", 1)
    assert code == 0
    assert "epoch 2/2" in printed
    assert {path.name for path in (tmp_path / "checkpoint").iterdir()} == {"member-0", "member-1"}
    assert len(read_teacher(tmp_path / "teacher.safetensors").members) == 2


def test_a_transformer_starts_from_a_pre_trained_encoder_with_rates_by_layer(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = tmp_path / "encoder.safetensors"
    save_encoder(build_encoder(EncoderConfig(architecture="test_vit", image_size=32)), encoder)
    out = tmp_path / "out"
    code, _, _ = run(capsys, images, out, "--from-pretraining", encoder, "--epochs", 1)
    assert code == 0
    record = record_of(out)
    assert record.training["layer_decay"] == 0.75
    assert (record.start.kind, record.start.sha256) == (
        "pretraining",
        hashlib.sha256(encoder.read_bytes()).hexdigest(),
    )
    assert read_teacher(out / "teacher.safetensors").identity.pooling == "mean"


def test_other_weights_do_not_pass_for_a_pre_trained_encoder(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "student.safetensors"
    save_weights(build_student("mobilenet_v2", classes=4, seed=0), weights)
    words = ("--teacher", "mobilenet_v2", "--from-pretraining", weights)
    code, _, problem = run(capsys, images, tmp_path / "out", *words)
    assert code == 2
    assert "nothing to do with pre-training" in problem


def test_a_teacher_starts_from_one_thing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="from one thing"):
        Beginning.of(weights=tmp_path / "w.safetensors", pretraining=None, pretrained=True)


def test_a_folder_that_was_not_prepared_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, problem = run(capsys, tmp_path, tmp_path / "out")
    assert code == 2
    assert "teacher prepare" in problem


def test_a_rate_of_zero_is_refused_and_not_taken_for_the_usual_one() -> None:
    with pytest.raises(InputError, match="learning_rate"):
        RECIPES["fundus-vit"].training(start="random", epochs=1, batch_size=8, modality="CFP", learning_rate=0.0)


def test_a_known_body_is_frozen_at_first_and_learns_slowly_and_an_unknown_one_is_not() -> None:
    recipe = RECIPES["oct-convnext"]
    known = recipe.training(start="pretrained", epochs=150, batch_size=16, modality="OCT")
    assert (known.frozen_epochs, known.backbone_learning_rate, known.averaging_epoch) == (5, pytest.approx(2e-5), 100)
    unknown = recipe.training(start="random", epochs=150, batch_size=16, modality="OCT")
    assert (unknown.frozen_epochs, unknown.backbone_learning_rate) == (0, None)


@pytest.mark.parametrize("epochs", [1, 2, 5, 6, 7, 12])
@pytest.mark.parametrize("start", ["random", "weights", "pretraining"])
def test_every_length_of_training_is_possible(epochs: int, start: str) -> None:
    for recipe in RECIPES.values():
        assert recipe.training(start=start, epochs=epochs, batch_size=8, modality="CFP").epochs == epochs


def test_pictures_choose_their_recipe_unless_it_is_named() -> None:
    assert get_recipe(None, modality="OCT").name == "oct-convnext"
    assert get_recipe("fundus-vit", modality="OCT").name == "fundus-vit"
    with pytest.raises(InputError, match="unknown recipe"):
        get_recipe("kitchen", modality="CFP")


def test_a_recipe_that_is_named_brings_its_published_network_and_timm_knows_it() -> None:
    task = get_task("oct")
    assert default_teacher(RECIPES["oct-convnext"], task) == "convnextv2_large"
    assert default_teacher(None, task) == task.teacher
    for recipe in RECIPES.values():
        check_teacher(recipe.teacher)
        check_teacher(recipe.smoke_teacher)
