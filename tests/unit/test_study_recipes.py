"""A recipe means the same wherever it is named: teachers of a study are the server's, students follow the paper."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from timm.layers.drop import DropPath

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.models import build_student, build_teacher
from eyebright_learning.models.weights import save_weights
from eyebright_learning.views import AUGMENTATION_ID, STRONG_STUDENT, STRONG_TEACHER
from eyebright_server.teacher.recipes import RECIPES
from eyebright_simulations.network.context import Context
from eyebright_simulations.study.options import StudyOptions
from eyebright_simulations.study.students import student_training
from eyebright_simulations.study.teachers import check_networks, teacher_training, untrained_teacher

FUNDUS, OCT = get_task("fundus"), get_task("oct")


def checked(options: StudyOptions) -> None:
    context = Context(options=options.shared, out=Path("nowhere"), update=lambda share, note: None)
    check_networks(context, options=options)


def test_an_ablation_of_the_oct_recipe_has_its_teacher_and_its_student() -> None:
    options = StudyOptions(kind="ablation", task="oct", recipe="oct-convnext", epochs=100, teacher_epochs=150)
    teacher, student = (make(options, OCT, seed=7) for make in (teacher_training, student_training))
    assert (teacher.balance, teacher.view_family, teacher.averaging_epoch) == ("loss", STRONG_TEACHER, 100)
    assert RECIPES[options.recipe].focal == 2.0
    assert (student.view_family, student.weight_decay) == (STRONG_STUDENT, 0.01)
    assert (student.warmup * 100, student.final_rate) == (pytest.approx(5), 1e-3)


@pytest.mark.parametrize(("weights", "rate"), [(None, 1e-3), ("file.safetensors", 5e-4)])
def test_the_fundus_recipe_is_mild_and_gentler_from_given_weights(weights: str | None, rate: float) -> None:
    options = StudyOptions(kind="ablation", init=weights, teacher_weights=weights)
    teacher, student = (make(options, FUNDUS, seed=7) for make in (teacher_training, student_training))
    assert RECIPES[options.recipe].focal == 0.0
    for config in (teacher, student):
        assert (config.learning_rate, config.balance, config.view_family) == (rate, "sampling", AUGMENTATION_ID)
        assert (config.warmup, config.final_rate, config.averages) == (0.1, 0.01, False)


def dropping(options: StudyOptions) -> float:
    """Return the largest rate at which the teacher of a study leaves branches out."""
    teacher = untrained_teacher(options, OCT, 0, 0)
    return max((module.drop_prob for module in teacher.modules() if isinstance(module, DropPath)), default=0.0)


def test_only_an_oct_teacher_that_knows_something_drops_branches(tmp_path: Path) -> None:
    weights = tmp_path / "published.safetensors"
    save_file(build_teacher("test_convnext2", classes=3, image_size=32, seed=1).network.state_dict(), weights)
    known = {"teachers": ("test_convnext2",), "image_size": 32, "teacher_weights": str(weights)}
    oct_study = {"kind": "ablation", "task": "oct", "recipe": "oct-convnext"}
    assert dropping(StudyOptions(**oct_study, **known)) == pytest.approx(0.3)
    assert dropping(StudyOptions(**oct_study, **(known | {"teacher_weights": None}))) == 0.0
    assert dropping(StudyOptions(**(oct_study | {"recipe": "fundus-vit"}), **known)) == 0.0


def test_weights_of_another_network_are_refused_before_a_picture_is_read(tmp_path: Path) -> None:
    resnet, text = tmp_path / "resnet18.safetensors", tmp_path / "text.safetensors"
    save_weights(build_student("resnet18", classes=4, seed=0), resnet)
    text.write_text("no tensors")
    with pytest.raises(InputError, match="not of mobilenet_v2"):
        checked(StudyOptions(kind="ablation", init=str(resnet), teachers=("mobilenet_v2",)))
    with pytest.raises(InputError, match="not of mobilenet_v2"):
        checked(StudyOptions(kind="ablation", teachers=("hybrid_mobilenet_v2_tiny",), teacher_weights=str(resnet)))
    with pytest.raises(InputError, match="cannot be read"):
        checked(StudyOptions(kind="ablation", teachers=("test_vit",), teacher_weights=str(text)))


def test_weights_may_have_a_head_of_another_size(tmp_path: Path) -> None:
    weights, teacher = tmp_path / "published.safetensors", tmp_path / "teacher.safetensors"
    save_weights(build_student("mobilenet_v2", classes=1000, seed=0), weights)
    checked(StudyOptions(kind="ablation", init=str(weights), teachers=("mobilenet_v2",), teacher_weights=str(weights)))
    build_teacher("mobilenet_v2", classes=4, image_size=96, seed=0).save(teacher)
    checked(StudyOptions(kind="ablation", teachers=("mobilenet_v2",), teacher_weights=str(teacher)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_a_graphics_card_that_is_not_there_is_refused_before_a_picture_is_read() -> None:
    with pytest.raises(InputError, match="no graphics card"):
        checked(StudyOptions(kind="ablation", teachers=("mobilenet_v2",), device="cuda"))
