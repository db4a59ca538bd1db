"""Dropout and stochastic depth of a teacher: in training only, deeper blocks more, and never in its file."""

from __future__ import annotations

import pytest
import torch
from timm.layers.drop import DropPath

from eyebright_common.errors import InputError
from eyebright_learning.models import build_teacher
from eyebright_learning.models.timm_teacher import regularise


@pytest.mark.parametrize("name", ["test_convnext2", "test_vit"])
def test_a_regularised_teacher_is_random_in_training_and_itself_in_evaluation(name: str) -> None:
    teacher = build_teacher(name, classes=4, image_size=32, seed=0).eval()
    x = torch.rand(4, 3, 32, 32) * 255
    with torch.no_grad():
        before, digest = teacher(x), teacher.digest()
        regularise(teacher, drop=0.3, drop_path=0.3)
        assert torch.equal(teacher(x), before)
        assert teacher.digest() == digest
        teacher.train()
        assert not torch.equal(teacher(x), teacher(x))


def test_branches_are_dropped_more_often_the_deeper_they_are() -> None:
    teacher = build_teacher("test_convnext2", classes=4, image_size=32, seed=0)
    regularise(teacher, drop=0.0, drop_path=0.3)
    rates = [module.drop_prob for module in teacher.modules() if isinstance(module, DropPath)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.3)


def test_a_network_without_branches_is_refused() -> None:
    with pytest.raises(InputError, match="no places for dropout"):
        regularise(build_teacher("mobilenet_v2", classes=4, image_size=32, seed=0), drop=0.1, drop_path=0.1)
