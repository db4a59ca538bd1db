"""What holds for every manifest, split and file, however odd."""

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common.errors import ImageError, ManifestError
from eyebright_common.imaging import decode_image
from eyebright_common.manifest import read_dataset, split_groups
from eyebright_common.manifest.closure import closure
from pictures import encoded, eye

FILES = ("a.png", "b.png", "sub/c.JPG")
PATHS = st.sampled_from([*FILES, "sub\\c.jpg", "gone.png", "../a.png", "", "A.PNG"])
CELLS = st.tuples(
    PATHS,
    st.sampled_from(["CFP", "OCT", "fundus", "x"]),
    st.sampled_from(["normal", "Cataract", "amd", "", "glaucoma"]),
    st.sampled_from(["p1", "p2", ""]),
    st.sampled_from(["R", "left", ""]),
)
ROWS = st.lists(st.one_of(CELLS, CELLS.map(lambda cells: cells[:3])), max_size=12)


@settings(max_examples=80, deadline=None)
@given(ROWS)
def test_every_row_and_file_is_in_exactly_one_place(rows):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "sub").mkdir()
        for file in FILES:
            (root / file).write_bytes(b"x")
        lines = ["image_path,modality,label,patient_id,eye", *(",".join(cells) for cells in rows)]
        (root / "m.csv").write_text("\n".join(lines))
        try:
            manifest, task = read_dataset(root / "m.csv", task_family="fundus")
        except ManifestError:
            return
    listed = len(manifest.rows) + sum(manifest.left_out.values()) - manifest.left_out.get("file_without_row", 0)
    assert listed == len(rows)
    assert len(manifest.problems) == sum(manifest.left_out.values())
    assert len({row.image_path for row in manifest.rows}) == len(manifest.rows)
    assert {row.label for row in manifest.rows} <= set(task.classes)
    assert all(row.patient_id for row in manifest.rows)


GROUPED = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 3)), min_size=1, max_size=120)


@given(GROUPED, st.integers(0, 5))
def test_a_group_is_never_in_two_splits(pictures, seed):
    groups, labels = zip(*pictures, strict=True)
    splits = split_groups(groups, labels, {"train": 0.6, "validation": 0.2, "test": 0.2}, seed)
    assert len({(group, split) for group, split in zip(groups, splits, strict=True)}) == len(set(groups))


@given(GROUPED, st.integers(0, 5))
def test_no_split_stays_empty_while_there_are_groups_for_it(pictures, seed):
    groups, labels = zip(*pictures, strict=True)
    splits = split_groups(groups, labels, {"train": 0.6, "validation": 0.2, "test": 0.2, "none": 0.0}, seed)
    assert len(set(splits)) == min(3, len(set(groups)))
    assert "none" not in splits


@given(GROUPED)
def test_the_same_seed_gives_the_same_split(pictures):
    groups, labels = zip(*pictures, strict=True)
    first, again = (split_groups(groups, labels, {"a": 1, "b": 1}, 3) for _ in range(2))
    assert (first == again).all()


@given(st.integers(0, 50))
def test_single_pictures_are_split_in_proportion_for_every_label(seed):
    labels = np.repeat([0, 1, 2], [200, 100, 40])
    splits = split_groups(np.arange(340), labels, {"train": 0.5, "test": 0.5}, seed)
    for label, count in enumerate((200, 100, 40)):
        assert abs(int((splits[labels == label] == "test").sum()) - count / 2) <= 2


PAIRS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30)


@given(PAIRS)
def test_closure_joins_exactly_what_a_path_joins(pairs):
    groups = closure(20, np.asarray(pairs, dtype=np.int64).reshape(-1, 2))
    reach = np.eye(20, dtype=bool)
    for a, b in pairs:
        reach[a, b] = reach[b, a] = True
    for middle in range(20):
        reach |= np.outer(reach[:, middle], reach[middle])
    assert np.array_equal(groups[:, None] == groups[None, :], reach)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]), st.data())
def test_a_damaged_file_is_a_picture_or_a_reason_never_a_crash(kind, data):
    content = bytearray(encoded(eye(1, 48), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        decoded = decode_image(bytes(content[: data.draw(st.integers(0, len(content)))]))
        assert decoded.dtype == np.uint8
        assert decoded.shape[2] == 3


@given(st.binary(max_size=400))
def test_any_bytes_are_a_reason_never_a_crash(content):
    with suppress(ImageError):
        decode_image(content)
