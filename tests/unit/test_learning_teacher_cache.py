"""The teacher cache: replays what the teacher said, and is never mistaken for a cache of something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eyebright_common.errors import EyebrightError, InputError
from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Teacher
from eyebright_learning.teacher_cache import TeacherCache
from eyebright_learning.teacher_cache.layout import MAGIC
from eyebright_learning.views import augment, view_seed
from learning_pictures import small_teacher, striped_pictures


class Stopped(BaseException):
    """The process was told to stop."""


class CountingTeacher(Teacher):
    """A teacher that counts the pictures it looked at and can be stopped after some."""

    def __init__(self, *, stop_after: int | None = None) -> None:
        inner = small_teacher()
        super().__init__(inner.network, inner.identity)
        self.seen = 0
        self.stop_after = stop_after

    def forward(self, x: Tensor) -> Tensor:
        if self.stop_after is not None and self.seen >= self.stop_after:
            raise Stopped
        self.seen += len(x)
        return super().forward(x)


def build(path: Path, teacher: Teacher, images: PreparedImages, views: int = 2, **options: int) -> TeacherCache:
    return TeacherCache.open_or_build(path, teacher=teacher, images=images, views=views, **options)


def test_a_cached_target_is_what_the_teacher_says_of_that_view(tmp_path: Path) -> None:
    teacher, images = small_teacher().eval(), striped_pictures(5)
    cache = build(tmp_path / "t.cache", teacher, images)
    with torch.inference_mode():
        said = teacher(augment(images.pixels, images.digests, 1)).numpy()
    np.testing.assert_allclose(cache.logits([0, 1, 2, 3, 4], 1), said, rtol=1e-3, atol=1e-3)


def test_targets_are_calibrated_and_logits_are_not(tmp_path: Path) -> None:
    teacher, images = small_teacher(), striped_pictures(3)
    teacher.set_temperature(2.0)
    cache = build(tmp_path / "t.cache", teacher, images)
    np.testing.assert_allclose(cache.targets([0, 2], 0), cache.logits([0, 2], 0) / 2.0)


def test_views_beyond_the_last_come_round_again(tmp_path: Path) -> None:
    cache = build(tmp_path / "t.cache", small_teacher(), striped_pictures(3))
    np.testing.assert_array_equal(cache.logits([1], 2), cache.logits([1], 0))


def test_the_file_is_a_header_and_twelve_bytes_per_view(tmp_path: Path) -> None:
    images = striped_pictures(3)
    build(tmp_path / "t.cache", small_teacher(), images)
    content = (tmp_path / "t.cache").read_bytes()
    assert content[:8] == MAGIC
    header = 12 + int.from_bytes(content[8:12], "little")
    assert header == 4096
    assert len(content) - header == 3 * 2 * 12
    # The fifth record is picture 1 of view 1: view-major.
    assert int.from_bytes(content[header + 48 : header + 52], "little") == view_seed(images.digests[1], 1)


def test_a_complete_cache_does_not_need_the_teacher_again(tmp_path: Path) -> None:
    teacher, images = CountingTeacher(), striped_pictures(6)
    build(tmp_path / "t.cache", teacher, images)
    build(tmp_path / "t.cache", teacher, images)
    assert teacher.seen == 12


def test_a_cache_opens_by_the_teachers_digest_alone(tmp_path: Path) -> None:
    teacher, images = small_teacher(), striped_pictures(4)
    built = build(tmp_path / "t.cache", teacher, images)
    opened = TeacherCache.open(tmp_path / "t.cache", teacher_sha256=teacher.digest(), images=images, views=2)
    assert opened is not None
    np.testing.assert_array_equal(opened.logits([0, 3], 1), built.logits([0, 3], 1))


def test_a_missing_cache_does_not_open(tmp_path: Path) -> None:
    assert TeacherCache.open(tmp_path / "no", teacher_sha256="0" * 64, images=striped_pictures(2), views=1) is None


def test_fewer_views_are_served_from_a_larger_cache(tmp_path: Path) -> None:
    teacher, images = CountingTeacher(), striped_pictures(4)
    build(tmp_path / "t.cache", teacher, images, views=3)
    build(tmp_path / "t.cache", teacher, images, views=2)
    assert teacher.seen == 12


@pytest.mark.parametrize("change", ["teacher", "temperature", "pictures", "order", "views", "modality"])
def test_a_cache_of_something_else_is_rebuilt(tmp_path: Path, change: str) -> None:
    teacher, images, path = CountingTeacher(), striped_pictures(4), tmp_path / "t.cache"
    build(path, teacher, images)
    if change == "teacher":
        with torch.no_grad():
            next(teacher.parameters()).add_(0.1)
    if change == "temperature":
        teacher.set_temperature(3.0)
    pictures = striped_pictures(4, seed=9) if change == "pictures" else images
    pictures = images.subset([1, 0, 2, 3]) if change == "order" else pictures
    before = teacher.seen
    views = 3 if change == "views" else 2
    modality = "OCT" if change == "modality" else "CFP"
    TeacherCache.open_or_build(path, teacher=teacher, images=pictures, views=views, modality=modality)
    assert teacher.seen - before == 4 * views


def test_a_cache_of_other_library_versions_is_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, images = CountingTeacher(), striped_pictures(4)
    build(tmp_path / "t.cache", teacher, images)
    monkeypatch.setattr("eyebright_learning.teacher_cache.key.version", lambda name: "0.0")
    build(tmp_path / "t.cache", teacher, images)
    assert teacher.seen == 16


def test_a_stopped_build_continues_where_it_stopped(tmp_path: Path) -> None:
    images, path = striped_pictures(10), tmp_path / "t.cache"
    whole = build(tmp_path / "whole.cache", CountingTeacher(), images, batch_size=4)
    with pytest.raises(Stopped):
        build(path, CountingTeacher(stop_after=12), images, batch_size=4)
    assert not path.exists()
    second = CountingTeacher()
    cache = build(path, second, images, batch_size=4)
    assert second.seen == 6  # 14 of 20 records were held: batches of 4, 4, 2 and 4
    np.testing.assert_array_equal(cache.logits(range(10), 1), whole.logits(range(10), 1))


def test_a_batch_cut_in_half_is_written_again(tmp_path: Path) -> None:
    images, path = striped_pictures(10), tmp_path / "t.cache"
    with pytest.raises(Stopped):
        build(path, CountingTeacher(stop_after=12), images, batch_size=4)
    partial = path.with_name("t.cache.partial")
    partial.write_bytes(partial.read_bytes()[:-5])
    teacher = CountingTeacher()
    cache = build(path, teacher, images, batch_size=4)
    assert teacher.seen == 10  # the last batch was not whole
    assert cache.verify(teacher, images, fraction=1.0).seed_mismatches == 0


def test_a_partial_of_another_teacher_is_not_continued(tmp_path: Path) -> None:
    images, path = striped_pictures(10), tmp_path / "t.cache"
    with pytest.raises(Stopped):
        build(path, CountingTeacher(stop_after=12), images, batch_size=4)
    other = CountingTeacher()
    other.set_temperature(2.0)
    build(path, other, images, batch_size=4)
    assert other.seen == 20


@pytest.mark.parametrize(
    "damage", [b"", b"EYBCACH1", b"EYBCACH2", b"EYBCACH2\x04\x00\x00\x00nope", b"EYBCACH2\xff\xff\xff\xff"]
)
def test_a_damaged_cache_is_rebuilt(tmp_path: Path, damage: bytes) -> None:
    images, path = striped_pictures(3), tmp_path / "t.cache"
    path.write_bytes(damage)
    assert len(build(path, small_teacher(), images)) == 3


def test_a_truncated_cache_is_rebuilt(tmp_path: Path) -> None:
    teacher, images, path = CountingTeacher(), striped_pictures(3), tmp_path / "t.cache"
    build(path, teacher, images)
    path.write_bytes(path.read_bytes()[:-1])
    build(path, teacher, images)
    assert teacher.seen == 12


def test_verify_finds_an_intact_cache_right(tmp_path: Path) -> None:
    teacher, images = small_teacher(), striped_pictures(10)
    check = build(tmp_path / "t.cache", teacher, images).verify(teacher, images, fraction=0.5)
    assert (check.records, check.argmax_mismatches, check.seed_mismatches) == (10, 0, 0)
    assert check.max_abs_error < 1e-2


def test_verify_takes_a_damaged_record_for_a_difference_and_not_for_a_number(tmp_path: Path) -> None:
    teacher, images, path = small_teacher(), striped_pictures(4), tmp_path / "t.cache"
    build(path, teacher, images)
    content = path.read_bytes()
    path.write_bytes(content[:-2] + np.float16(np.nan).tobytes())
    check = build(path, teacher, images).verify(teacher, images, fraction=1.0)
    assert check.max_abs_error == float("inf")
    assert not check.passed


def test_verify_finds_a_flipped_bit(tmp_path: Path) -> None:
    teacher, images, path = small_teacher(), striped_pictures(4), tmp_path / "t.cache"
    build(path, teacher, images)
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40  # exponent of the last logit
    path.write_bytes(bytes(content))
    check = build(path, teacher, images).verify(teacher, images, fraction=1.0)
    assert check.max_abs_error > 0.1


def test_a_teacher_that_says_nonsense_is_refused(tmp_path: Path) -> None:
    teacher = small_teacher()
    with torch.no_grad():
        next(teacher.parameters()).fill_(float("nan"))
    with pytest.raises(EyebrightError, match="not a number"):
        build(tmp_path / "t.cache", teacher, striped_pictures(2))


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="48 px, not 32 px"):
        build(tmp_path / "t.cache", small_teacher(), striped_pictures(2, size=48))


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 pictures"):
        build(tmp_path / "t.cache", small_teacher(), striped_pictures(2).subset([]))
