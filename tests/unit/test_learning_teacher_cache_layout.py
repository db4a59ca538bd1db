"""The file of a teacher cache, byte by byte, and that it may be larger than memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from eyebright_learning.teacher_cache import CacheKey, planned_bytes
from eyebright_learning.teacher_cache.layout import CacheHeader, FeatureHeader, map_cache
from learning_pictures import striped_pictures


def header(*, images: int = 5, views: int = 4, feature_views: int = 2, classes: int = 3) -> CacheHeader:
    features = None
    if feature_views:
        features = FeatureHeader(method="f", views=feature_views, tokens=9, width=8, teacher_width=16)
    return CacheHeader(
        key=CacheKey.of(teacher_sha256="0" * 64, images=striped_pictures(1), modality="CFP"),
        classes=classes,
        images=images,
        views=views,
        temperature=1.5,
        features=features,
    )


def test_a_reader_written_from_the_documentation_finds_every_part(tmp_path: Path) -> None:
    path, made, generator = tmp_path / "t.cache", header(), np.random.default_rng(0)
    bases = generator.normal(size=(3, 16, 8)).astype("<f4")
    logits = generator.normal(size=(4, 5, 3)).astype("<f2")
    features = generator.normal(size=(2, 5, 4, 9, 8)).astype("<f2")
    body = b""
    for view in range(4):
        for picture in range(5):
            body += (100 * view + picture).to_bytes(4, "little") + logits[view, picture].tobytes()
            body += features[view, picture].tobytes() if view < 2 else b""
    path.write_bytes(made.to_bytes() + bases.tobytes() + body)
    mapped = map_cache(path)
    assert mapped is not None
    assert mapped[0] == made
    np.testing.assert_array_equal(mapped[1].bases, bases)
    for view in range(4):
        records = mapped[1].of_view(view)
        np.testing.assert_array_equal(records["logits"], logits[view])
        np.testing.assert_array_equal(records["seed"], 100 * view + np.arange(5))
    np.testing.assert_array_equal(mapped[1].wide["features"], features)


@pytest.mark.parametrize(("views", "feature_views"), [(1, 0), (4, 2), (3, 3)])
def test_the_planned_size_is_the_sum_of_the_parts(views: int, feature_views: int) -> None:
    seed, logits, part = 4, 3 * 2, 9 * 8 * 2
    expected = 4096 + (3 * 16 * 8 * 4 if feature_views else 0)
    expected += 5 * views * (seed + logits) + 5 * feature_views * 4 * part
    planned = planned_bytes(
        images=5, views=views, classes=3, feature_views=feature_views, tokens=9, width=8, teacher_width=16
    )
    assert planned == expected
    assert header(views=views, feature_views=feature_views).file_bytes == expected


def test_logits_alone_are_twelve_bytes_per_view_of_four_classes() -> None:
    assert planned_bytes(images=1000, views=50, classes=4) == 4096 + 1000 * 50 * 12


def test_a_cache_of_ten_gigabytes_opens_in_no_memory(tmp_path: Path) -> None:
    path, made = tmp_path / "t.cache", header(images=8_600_000)
    with path.open("wb") as file:  # all holes: it takes no room on the disk either
        file.write(made.to_bytes())
        file.truncate(made.file_bytes)
    tracemalloc.start()
    try:
        mapped = map_cache(path)
        assert mapped is not None
        last = mapped[1].of_view(1)["features"][np.array([8_599_999])]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert made.file_bytes > 10_000_000_000
    assert not last.any()


def test_an_open_cache_stays_what_it_was_when_another_takes_its_name(tmp_path: Path) -> None:
    path, made = tmp_path / "t.cache", header(feature_views=0)
    path.write_bytes(made.to_bytes() + bytes(made.bytes_of(made.records)))
    mapped = map_cache(path)
    assert mapped is not None
    (tmp_path / "new").write_bytes(made.to_bytes() + b"\xff" * made.bytes_of(made.records))
    (tmp_path / "new").replace(path)
    assert not mapped[1].of_view(0)["seed"].any()


def test_a_header_with_features_in_views_that_do_not_exist_is_not_believed() -> None:
    with pytest.raises(ValidationError, match="more views with features"):
        header(views=1, feature_views=2)


def test_the_header_of_a_partial_file_is_the_planned_one_but_for_what_was_found() -> None:
    planned = header()
    assert planned.features is not None
    found = planned.model_copy(update={"features": planned.features.model_copy(update={"retained": {"value": 0.5}})})
    assert found != planned
    assert found.without_findings() == planned
