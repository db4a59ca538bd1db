"""Features in the teacher cache: what they are, which views carry them, and what a file of them weighs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eyebright_common.errors import EyebrightError, InputError
from eyebright_learning.models import Teacher, build_teacher
from eyebright_learning.models.attention import teacher_features
from eyebright_learning.models.features import TeacherFeatures
from eyebright_learning.teacher_cache import TeacherCache, planned_bytes
from eyebright_learning.views import augment
from learning_pictures import small_teacher, striped_pictures

IMAGES = striped_pictures(6)


def build(path: Path, teacher: Teacher, *, views: int = 3, feature_views: int = 2, **options: int) -> TeacherCache:
    return TeacherCache.open_or_build(
        path, teacher=teacher, images=IMAGES, views=views, feature_views=feature_views, **options
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> TeacherCache:
    return build(tmp_path_factory.mktemp("cache") / "t.cache", small_teacher())


def look(view: int) -> TeacherFeatures:
    with torch.inference_mode():
        return teacher_features(small_teacher().eval(), augment(IMAGES.pixels, IMAGES.digests, view))


def test_features_of_a_whole_width_give_the_teachers_own_scores(cache: TeacherCache) -> None:
    # 32 px in patches of 16: a grid of 2 x 2 is kept, and a width of 64 loses nothing, it is only turned.
    kept, seen = cache.features(range(6), 1), look(1)
    assert kept is not None
    torch.testing.assert_close(kept.query @ kept.key.mT, seen.query @ seen.key.mT, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(kept.value @ kept.value.mT, seen.value @ seen.value.mT, rtol=2e-2, atol=2e-2)


def test_tokens_are_layer_normalised_before_they_are_kept(cache: TeacherCache) -> None:
    kept, seen = cache.features(range(6), 0), look(0)
    assert kept is not None
    plain = F.layer_norm(seen.tokens, seen.tokens.shape[-1:])
    torch.testing.assert_close(kept.tokens @ kept.tokens.mT, plain @ plain.mT, rtol=1e-2, atol=5e-2)


def test_the_scale_is_that_of_the_teachers_own_width(cache: TeacherCache) -> None:
    kept = cache.features([0], 0)
    assert kept is not None
    assert kept.scale == pytest.approx(1 / 8)  # test_vit is 64 wide


def test_features_come_for_the_pictures_asked_for_in_their_order(cache: TeacherCache) -> None:
    all_of_them, some = cache.features(range(6), 1), cache.features(np.array([4, 1]), 1)
    assert all_of_them is not None
    assert some is not None
    for part, whole in zip(some[:4], all_of_them[:4], strict=True):
        assert torch.equal(part, whole[[4, 1]])
        assert (part.dtype, part.shape) == (torch.float32, (2, 4, 64))


def test_only_the_first_views_carry_features(cache: TeacherCache) -> None:
    assert [cache.features([0], view) is not None for view in range(6)] == [True, True, False, True, True, False]


def test_the_shape_is_known_without_reading_a_record(cache: TeacherCache) -> None:
    assert cache.feature_shape == (4, 64)


def test_a_cache_of_logits_alone_has_no_features(tmp_path: Path) -> None:
    plain = build(tmp_path / "t.cache", small_teacher(), feature_views=0)
    assert plain.feature_shape is None
    assert plain.features([0], 0) is None


def test_logits_are_the_same_with_and_without_features(tmp_path: Path, cache: TeacherCache) -> None:
    plain = build(tmp_path / "t.cache", small_teacher(), feature_views=0)
    for view in range(3):
        np.testing.assert_array_equal(cache.logits(range(6), view), plain.logits(range(6), view))


@pytest.mark.parametrize("feature_views", [0, 1, 3])
def test_the_size_is_announced_to_the_byte(tmp_path: Path, feature_views: int) -> None:
    path, announced = tmp_path / "t.cache", list[int]()
    TeacherCache.open_or_build(
        path,
        teacher=small_teacher(),
        images=IMAGES,
        views=3,
        feature_views=feature_views,
        on_plan=announced.append,
    )
    assert announced == [path.stat().st_size]
    assert announced == [
        planned_bytes(images=6, views=3, classes=4, feature_views=feature_views, tokens=4, width=64, teacher_width=64)
    ]


def test_a_complete_cache_announces_nothing(tmp_path: Path) -> None:
    announced = list[int]()
    build(tmp_path / "t.cache", small_teacher())
    TeacherCache.open_or_build(
        tmp_path / "t.cache", teacher=small_teacher(), images=IMAGES, views=3, on_plan=announced.append
    )
    assert announced == []


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(EyebrightError, match=r"disk is too small.*1,000 free"):
        TeacherCache.open_or_build(
            tmp_path / "t.cache", teacher=small_teacher(), images=IMAGES, views=3, free=lambda folder: 1000
        )
    assert list(tmp_path.iterdir()) == []


def test_features_asked_for_later_are_added_by_a_rebuild(tmp_path: Path) -> None:
    path, teacher = tmp_path / "t.cache", small_teacher()
    build(path, teacher, feature_views=1)
    again = build(path, teacher, feature_views=2)
    assert again.features([0], 1) is not None


def test_more_features_than_asked_for_are_welcome(tmp_path: Path) -> None:
    path, teacher = tmp_path / "t.cache", small_teacher()
    build(path, teacher, feature_views=2)
    before = path.stat().st_mtime_ns
    assert build(path, teacher, feature_views=1).feature_views == 2
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(("views", "feature_views"), [(2, 3), (8, 5), (2, -1)])
def test_features_in_views_that_cannot_have_them_are_refused(tmp_path: Path, views: int, feature_views: int) -> None:
    with pytest.raises(InputError, match="feature_views"):
        build(tmp_path / "t.cache", small_teacher(), views=views, feature_views=feature_views)


def test_verify_compares_features_too(tmp_path: Path) -> None:
    teacher = small_teacher()
    check = build(tmp_path / "t.cache", teacher).verify(teacher, IMAGES, fraction=1.0)
    assert (check.records, check.feature_records, check.passed) == (18, 12, True)
    assert check.max_feature_error < 0.01


def test_verify_looks_at_both_kinds_of_records_however_small_the_sample(cache: TeacherCache) -> None:
    check = cache.verify(small_teacher(), IMAGES, fraction=1e-9)
    assert (check.records, check.feature_records) == (2, 1)


def test_verify_finds_a_flipped_bit_of_a_feature(tmp_path: Path) -> None:
    teacher, path = small_teacher(), tmp_path / "t.cache"
    build(path, teacher)
    narrow_bytes, content = 6 * 12, bytearray(path.read_bytes())
    content[-narrow_bytes - 1] ^= 0x40  # exponent of the last value of the last record with features
    path.write_bytes(bytes(content))
    check = build(path, teacher).verify(teacher, IMAGES, fraction=1.0)
    assert check.max_abs_error < 0.01
    assert not check.passed


class Stopped(BaseException):
    """The process was told to stop."""


@pytest.mark.parametrize("bytes_lost", [0, 1, 7000])
def test_a_build_stopped_within_a_feature_record_ends_with_the_same_bytes(tmp_path: Path, bytes_lost: int) -> None:
    def stop(done: int, of: int) -> None:
        if done == 10:
            raise Stopped

    path, options = tmp_path / "t.cache", {"batch_size": 4}
    whole = tmp_path / "whole.cache"
    build(whole, small_teacher(), **options)
    with pytest.raises(Stopped):
        TeacherCache.open_or_build(
            path, teacher=small_teacher(), images=IMAGES, views=3, feature_views=2, on_progress=stop, **options
        )
    partial = tmp_path / "t.cache.partial"
    partial.write_bytes(partial.read_bytes()[: partial.stat().st_size - bytes_lost])
    build(path, small_teacher(), **options)
    assert path.read_bytes() == whole.read_bytes()


def test_a_build_stopped_within_its_bases_begins_again(tmp_path: Path) -> None:
    path, whole = tmp_path / "t.cache", tmp_path / "whole.cache"
    build(whole, small_teacher())
    (tmp_path / "t.cache.partial").write_bytes(whole.read_bytes()[:5000])
    build(path, small_teacher())
    assert path.read_bytes() == whole.read_bytes()


class Broken(nn.Module):
    """Puts out something that is not a number from a module that only features look at."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float("nan")


def test_a_feature_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    teacher = small_teacher()
    teacher.network.blocks[-1].attn.q_norm = Broken()
    with pytest.raises(EyebrightError, match="not a number"):
        build(tmp_path / "t.cache", teacher)


def test_features_of_a_teacher_without_attention_are_refused(tmp_path: Path) -> None:
    teacher = build_teacher("mobilenet_v2", classes=4, image_size=32, seed=0)
    with pytest.raises(InputError, match="no features to keep: mobilenet_v2"):
        build(tmp_path / "t.cache", teacher)
