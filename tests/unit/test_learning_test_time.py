"""Test-time augmentation: several looks at a picture, averaged, and the same for the same picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eyebright_common.errors import InputError
from eyebright_learning.evaluation import predict, predict_tta, softmax
from eyebright_learning.views import augment
from learning_pictures import small_teacher, striped_pictures

IMAGES = striped_pictures(6)


class Corner(nn.Module):
    """Says class 1 as strongly as the upper left corner is bright: a flip changes its mind."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.05))

    def forward(self, x: Tensor) -> Tensor:
        bright = self.gain * x[:, 0, :12, :12].mean((1, 2))
        return torch.stack([torch.zeros_like(bright), bright], dim=1)


def test_looks_are_the_plain_picture_and_its_first_mild_views() -> None:
    teacher = small_teacher().eval()
    found = predict_tta(teacher, IMAGES.pixels, IMAGES.digests, views=3, modality="OCT", temperature=2.0)
    looks = [torch.from_numpy(IMAGES.pixels).permute(0, 3, 1, 2).float()]
    looks += [augment(IMAGES.pixels, IMAGES.digests, view, modality="OCT") for view in (0, 1)]
    with torch.inference_mode():
        mean = torch.stack([(teacher(look) / 2.0).softmax(1) for look in looks]).mean(0)
    assert np.allclose(found, mean.numpy(), atol=1e-6)
    assert np.allclose(found.sum(1), 1.0)


def test_one_look_is_plain_prediction() -> None:
    teacher = small_teacher()
    plain = softmax(predict(teacher, IMAGES.pixels), temperature=1.5)
    assert np.array_equal(predict_tta(teacher, IMAGES.pixels, IMAGES.digests, views=1, temperature=1.5), plain)


def test_a_pictures_answer_does_not_depend_on_its_neighbours() -> None:
    together = predict_tta(Corner(), IMAGES.pixels, IMAGES.digests)
    alone = predict_tta(Corner(), IMAGES.pixels[3:4], IMAGES.digests[3:4])
    assert np.allclose(together[3], alone[0], atol=1e-6)


def test_more_looks_move_a_model_that_is_not_sure() -> None:
    picture = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    picture[:, :12, :12] = 200
    one, many = (predict_tta(Corner(), picture, ["corner"], views=views)[0, 1] for views in (1, 9))
    assert many < one - 0.05


def test_the_model_is_given_back_in_its_mode() -> None:
    model = small_teacher().train()
    predict_tta(model, IMAGES.pixels, IMAGES.digests, views=2)
    assert model.training


def test_no_pictures_give_no_answers() -> None:
    assert len(predict_tta(Corner(), IMAGES.pixels[:0], [], views=3)) == 0


def test_no_look_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="at least the plain picture"):
        predict_tta(Corner(), IMAGES.pixels, IMAGES.digests, views=0)
