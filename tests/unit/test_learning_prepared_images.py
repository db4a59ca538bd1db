"""Prepared pictures: what comes back from disk is what was written, and nonsense is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_learning.data import PreparedImages
from learning_pictures import striped_pictures


def test_saved_pictures_come_back_as_they_were(tmp_path: Path) -> None:
    images = striped_pictures(6)
    images.save(tmp_path / "train.npz")
    back = PreparedImages.load(tmp_path / "train.npz")
    np.testing.assert_array_equal(back.pixels, images.pixels)
    np.testing.assert_array_equal(back.groups, images.groups)
    assert (back.digests, back.patients, back.eyes) == (images.digests, images.patients, images.eyes)
    assert back.labels.tolist() == images.labels.tolist()


def test_the_same_pictures_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        striped_pictures(4).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_picture_is_known_by_the_digest_of_its_pixels() -> None:
    images = striped_pictures(2)
    assert images.digests[1] == hashlib.sha256(images.pixels[1].tobytes()).hexdigest()


def test_pictures_of_one_patient_are_one_group() -> None:
    images = striped_pictures(4)
    assert images.groups[0] == images.groups[1] != images.groups[2] == images.groups[3]


def test_a_subset_by_mask_keeps_every_column_together() -> None:
    images = striped_pictures(6)
    part = images.subset(np.array([False, True, False, False, True, False]))
    assert part.digests == (images.digests[1], images.digests[4])
    assert part.patients == ("patient-0", "patient-2")
    assert part.labels.tolist() == [1, 0]


def test_a_subset_of_nothing_is_empty() -> None:
    assert len(striped_pictures(3).subset([])) == 0


def test_the_digest_of_a_set_depends_on_its_order() -> None:
    images = striped_pictures(3)
    assert images.digest() != images.subset([1, 0, 2]).digest()


def test_joined_sets_follow_each_other() -> None:
    first, second = striped_pictures(2, seed=1), striped_pictures(3, seed=2)
    assert PreparedImages.joined([first, second]).digests == first.digests + second.digests


def test_sets_of_different_sides_cannot_be_joined() -> None:
    with pytest.raises(InputError, match="share one side"):
        PreparedImages.joined([striped_pictures(2, size=32), striped_pictures(2, size=48)])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"train\.npz"):
        PreparedImages.load(tmp_path / "train.npz")


def test_a_file_with_python_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", pixels=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError):
        PreparedImages.load(tmp_path / "train.npz")


@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 32, 16, 3), (2, 32, 32, 1)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"uint8 \[N, S, S, 3\]"):
        PreparedImages.of(np.zeros(shape, dtype=np.uint8), [0, 1])


def test_a_missing_label_is_refused() -> None:
    with pytest.raises(InputError, match="labels"):
        PreparedImages.of(np.zeros((2, 8, 8, 3), dtype=np.uint8), [0])
