"""A batch among several processes: parts that weigh what they count, and refusals before anybody waits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from eyebright_common.errors import InputError
from eyebright_learning.distillation import Recipe
from eyebright_learning.distillation.focal import focal
from eyebright_learning.models import build_teacher
from eyebright_learning.training import TeacherTraining
from eyebright_learning.training.parallel import Parallel
from eyebright_learning.training.sharing import Share, check_together, synchronise

CONFIG = TeacherTraining(epochs=1, batch_size=8)
LABELS = np.array([0, 0, 0, 0, 1, 2, 2])
WEIGHTS = torch.tensor([0.5, 3.0, 1.25])


def shares(class_weights: torch.Tensor | None) -> list[Share]:
    return [Share(Parallel(rank=rank, world_size=3), LABELS, class_weights) for rank in range(3)]


@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
def test_parts_cover_the_batch_and_their_weights_add_up_to_one(class_weights: torch.Tensor | None) -> None:
    whole = np.array([6, 0, 4, 2, 5])
    parts = [share.of(whole) for share in shares(class_weights)]
    assert np.concatenate([part for part, _ in parts]).tolist() == whole.tolist()
    assert sum(weight for _, weight in parts) == pytest.approx(1.0)


def test_parts_of_a_loss_with_class_weights_add_up_to_the_loss_of_the_batch() -> None:
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), torch.from_numpy(LABELS)
    whole = np.array([6, 0, 4, 2, 5, 1, 3])

    def loss(part: np.ndarray) -> float:
        return float(focal(logits[part], labels[part], gamma=2.0, class_weights=WEIGHTS))

    together = sum(weight * loss(part) for part, weight in (share.of(whole) for share in shares(WEIGHTS)))
    assert together == pytest.approx(loss(whole), abs=1e-6)


def test_alone_a_batch_is_its_own_only_part() -> None:
    part, weight = Share(Parallel(), LABELS, WEIGHTS).of(np.array([3, 1]))
    assert (part.tolist(), weight) == ([3, 1], 1.0)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(ce=1.0, kd=0.0, dist=0.0, multi_view=0.5)])
def test_what_does_not_add_up_from_parts_is_for_one_process(recipe: Recipe) -> None:
    with pytest.raises(InputError, match="labels alone"):
        check_together(recipe, Parallel(world_size=2), images=8, config=CONFIG, keeps=False)
    check_together(recipe, Parallel(), images=8, config=CONFIG, keeps=True)


def test_a_batch_smaller_than_the_processes_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size"):
        check_together(Recipe.supervised(), Parallel(world_size=16), images=8, config=CONFIG, keeps=False)


@pytest.mark.parametrize("name", ["mobilenet_v2", "test_efficientnet"])
def test_synchronised_normalisation_changes_neither_weights_nor_answers(name: str) -> None:
    teacher = build_teacher(name, classes=3, image_size=32, seed=0).eval()
    x = torch.linspace(0, 255, 2 * 3 * 32 * 32).view(2, 3, 32, 32)
    before, parameters, state = teacher(x), list(teacher.parameters()), dict(teacher.state_dict())
    synchronise(teacher)
    assert any(isinstance(module, nn.SyncBatchNorm) for module in teacher.modules())
    assert all(one is other for one, other in zip(parameters, teacher.parameters(), strict=True))
    assert list(state) == list(teacher.state_dict())
    assert torch.equal(teacher(x), before)
