"""RandAugment's views: strong, declared, and like every view a function of picture, number and family alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from eyebright_common.errors import InputError
from eyebright_common.plan import Plan, ViewFamily
from eyebright_learning.distillation import Recipe
from eyebright_learning.models import build_student
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.training import StudentTraining, Training, train_student
from eyebright_learning.views import AUGMENTATION_ID, FAMILIES, STRONG_STUDENT, STRONG_TEACHER, augment
from eyebright_learning.views import rand_augment as operations
from eyebright_learning.views.draws import uniforms
from eyebright_learning.views.rand_augment import OPERATIONS, RandAugment
from learning_pictures import small_teacher, striped_pictures

STRONG = (STRONG_TEACHER, STRONG_STUDENT)
UP, DOWN = np.full(4, 0.9), np.full(4, 0.1)


def scan() -> np.ndarray:
    """Return a grey picture with a bright lower half and a bright spot off the middle."""
    picture = np.full((64, 64, 3), 40, dtype=np.uint8)
    picture[40:] = 160
    picture[20:26, 10:16] = 240
    return picture


def test_the_mild_views_keep_their_bytes() -> None:
    # Written down before there were families: a change orphans every cache without saying so.
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    seen = augment(pixels, ["a" * 64, "b" * 64], 5, modality="OCT")
    assert hashlib.sha256(seen.contiguous().numpy().tobytes()).hexdigest()[:16] == "f4f6bd0fb2bf8efd"


def test_strong_views_keep_their_bytes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    seen = augment(pixels, ["a" * 64, "b" * 64], 5, modality="OCT", family=STRONG_TEACHER)
    assert hashlib.sha256(seen.contiguous().numpy().tobytes()).hexdigest()[:16] == "120b12711217763d"


@pytest.mark.parametrize("family", STRONG)
def test_the_same_strong_view_twice_is_the_same_picture(family: str) -> None:
    images = striped_pictures(4)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = augment(images.pixels, images.digests, 3, modality="OCT", family=family)
    assert torch.equal(first, augment(images.pixels, images.digests, 3, modality="OCT", family=family))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_strong_view_does_not_depend_on_its_neighbours() -> None:
    images = striped_pictures(5)
    alone = images.subset([2])
    together = augment(images.pixels, images.digests, 7, modality="OCT", family=STRONG_TEACHER)
    assert torch.equal(augment(alone.pixels, alone.digests, 7, modality="OCT", family=STRONG_TEACHER)[0], together[2])


@pytest.mark.parametrize("modality", ["CFP", "OCT"])
def test_strong_views_are_further_from_their_picture_than_mild_ones(modality: str) -> None:
    images = striped_pictures(8, size=48)
    plain = torch.from_numpy(images.pixels).permute(0, 3, 1, 2).float()

    def distance(family: str) -> float:
        seen = [augment(images.pixels, images.digests, v, modality=modality, family=family) for v in range(12)]
        return float(torch.stack([(view - plain).abs().mean() for view in seen]).mean())

    assert distance(STRONG_TEACHER) > distance(AUGMENTATION_ID)


def test_every_operation_of_the_list_is_drawn() -> None:
    first = {int(uniforms(seed, stream=b"eyebright-rand")[0] * len(OPERATIONS["OCT"])) for seed in range(200)}
    second = {int(uniforms(seed, stream=b"eyebright-rand")[5] * len(OPERATIONS["OCT"])) for seed in range(200)}
    assert first == second == set(range(9))


def test_strong_draws_are_not_those_of_the_mild_view() -> None:
    both = np.array([[uniforms(seed)[0], uniforms(seed, stream=b"eyebright-rand")[0]] for seed in range(2000)])
    assert abs(np.corrcoef(both.T)[0, 1]) < 5 / np.sqrt(2000)


def test_there_are_draws_enough_for_every_operation() -> None:
    assert all(5 * strong.count <= len(uniforms(0)) for strong in FAMILIES.values() if strong is not None)


@pytest.mark.parametrize("modality", ["CFP", "OCT"])
def test_no_operation_does_anything_at_no_strength_but_the_flip(modality: str) -> None:
    for operation in OPERATIONS[modality]:
        if operation not in (operations.flip, operations.blur):
            assert np.array_equal(operation(scan(), 0.0, UP), scan()), operation


def test_every_operation_changes_the_picture_at_full_strength_and_keeps_its_shape() -> None:
    for operation in OPERATIONS["OCT"]:
        seen = operation(scan(), 1.0, DOWN)
        assert (seen.shape, seen.dtype) == ((64, 64, 3), np.uint8)
        assert not np.array_equal(seen, scan()), operation


def test_a_scan_stays_the_right_way_up_and_grey() -> None:
    for view in range(30):
        seen = augment(scan()[None], ["scan"], view, modality="OCT", family=STRONG_TEACHER)[0]
        assert seen[0, 46:58].mean() > seen[0, 6:18].mean()
        assert torch.equal(seen[0], seen[1])


def test_the_black_surround_of_a_fundus_stays_black() -> None:
    black = np.zeros((1, 64, 64, 3), dtype=np.uint8)
    assert all(augment(black, ["black"], view, family=STRONG_TEACHER).max() == 0 for view in range(20))


def test_a_fundus_is_never_made_to_look_like_a_cataract() -> None:
    assert not {operations.blur, operations.contrast, operations.posterize} & set(OPERATIONS["CFP"])


def test_the_erased_part_is_of_the_declared_area() -> None:
    white = np.full((100, 100, 3), 200, dtype=np.uint8)
    white[:, :50] = 100
    for draw in (0.0, 0.5, 1.0):
        seen = operations.erase(white, 1.0, np.array([draw, 0.5, 0.5, 0.0]))
        assert (seen == 150).all(axis=2).sum() == pytest.approx(1500, rel=0.06)


def test_posterizing_clears_the_lowest_bits() -> None:
    assert np.array_equal(operations.posterize(scan(), 1.0, UP), scan() & 0xF0)


def test_a_turn_and_its_opposite_differ() -> None:
    assert not np.array_equal(operations.rotate(scan(), 0.9, UP), operations.rotate(scan(), 0.9, DOWN))


def test_no_operations_leave_the_mild_view() -> None:
    assert np.array_equal(RandAugment(count=0, magnitude=9)(scan(), 1, "OCT"), scan())


def test_an_unknown_family_is_refused_by_views_and_training() -> None:
    with pytest.raises(InputError, match=r"unknown family of views.*views-1"):
        augment(scan()[None], ["scan"], 0, family="strong")
    with pytest.raises(InputError, match="unknown family of views"):
        Training(epochs=1, view_family="strong")


def test_a_plan_knows_every_family_and_no_other() -> None:
    assert set(get_args(ViewFamily)) == set(FAMILIES)
    assert Plan.model_fields["view_family"].default == AUGMENTATION_ID


def test_a_cache_of_other_views_is_not_used(tmp_path: Path) -> None:
    images, teacher = striped_pictures(6), small_teacher()
    mild = TeacherCache.open_or_build(tmp_path / "t.cache", teacher=teacher, images=images, views=1)
    assert (
        TeacherCache.open(
            tmp_path / "t.cache", teacher_sha256=teacher.digest(), images=images, views=1, family=STRONG_STUDENT
        )
        is None
    )
    student = build_student("mobilenet_v2", classes=4, seed=0)
    config = StudentTraining(epochs=1, views=1, view_family=STRONG_STUDENT)
    with pytest.raises(InputError, match=r"the teacher cache is of other views.*views-1, not rand-augment-2-7-1"):
        train_student(student, images, cache=mild, recipe=Recipe(), config=config)


def test_a_student_learns_from_the_strong_views_its_teacher_saw(tmp_path: Path) -> None:
    images, teacher = striped_pictures(6), small_teacher().eval()
    cache = TeacherCache.open_or_build(
        tmp_path / "t.cache", teacher=teacher, images=images, views=2, modality="OCT", family=STRONG_STUDENT
    )
    with torch.inference_mode():
        said = teacher(augment(images.pixels, images.digests, 1, modality="OCT", family=STRONG_STUDENT)).numpy()
    assert np.allclose(cache.logits(np.arange(6), 1), said, atol=2e-3)
    student = build_student("mobilenet_v2", classes=4, seed=0)
    config = StudentTraining(epochs=2, batch_size=6, views=2, modality="OCT", view_family=STRONG_STUDENT)
    result = train_student(student, images, cache=cache, recipe=Recipe(), config=config)
    assert cache.verify(teacher, images, fraction=1.0).passed
    assert set(result.losses) == {"total", "ce", "kd", "dist"}
