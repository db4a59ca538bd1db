"""Loading many pictures: every row is pixels or counted."""

from collections import Counter

import numpy as np
import pytest

from eyebright_common.imaging import prepare
from eyebright_common.manifest import Row, load_prepared
from pictures import encoded, eye


def row(path):
    return Row(image_path=path, name=path.name, modality="CFP", label="normal", patient_id=path.stem)


@pytest.fixture
def rows(tmp_path):
    contents = {
        "good.png": encoded(eye(1, 160)),
        "empty.png": b"",
        "dark.png": encoded((eye(2, 160) * 0.08).astype(np.uint8)),
        "text.png": b"not a picture at all, only words",
        "other.png": encoded(eye(3, 160)),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [row(tmp_path / name) for name in contents]


def test_each_row_is_a_picture_or_counted(rows):
    loaded = load_prepared(rows, modality="CFP", size=64)
    assert loaded.kept.tolist() == [0, 4]
    assert loaded.left_out == Counter({"empty_file": 1, "ungradable:too_dark": 1, "not_an_image": 1})
    assert np.array_equal(loaded.pixels[1], prepare(eye(3, 160), modality="CFP", size=64))
    assert len(loaded.descriptors) == len(loaded.verdicts) == 2


def test_without_the_gate_an_ungradable_picture_is_kept(rows):
    assert load_prepared(rows, modality="CFP", size=64, quality_gate=False).kept.tolist() == [0, 2, 4]


def test_problems_name_the_file_locally(rows):
    assert ("empty.png", "empty_file") in load_prepared(rows, modality="CFP", size=64).problems


def test_progress_ends_at_the_number_of_rows(rows):
    seen = []
    load_prepared(rows, modality="CFP", size=64, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)


def test_no_rows_are_no_pictures():
    assert load_prepared([], modality="CFP", size=64).pixels.shape == (0, 64, 64, 3)


@pytest.mark.slow
def test_several_processes_give_what_one_gives(rows):
    many = rows * 60
    pooled = load_prepared(many, modality="CFP", size=64, workers=2)
    alone = load_prepared(many, modality="CFP", size=64, workers=1)
    assert np.array_equal(pooled.pixels, alone.pixels)
    assert np.array_equal(pooled.descriptors, alone.descriptors)
    assert (pooled.kept.tolist(), pooled.left_out) == (alone.kept.tolist(), alone.left_out)
