"""What ``docs/teacher-cache.md`` tells a stranger is true: its reader reads, its sizes are the sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyebright_learning.teacher_cache import TeacherCache, planned_bytes
from learning_pictures import small_teacher, striped_pictures

PAGE = (Path(__file__).parents[2] / "docs" / "teacher-cache.md").read_text()


@pytest.mark.parametrize("feature_views", [0, 1, 3])
def test_the_documented_reader_reads_what_we_write(tmp_path: Path, feature_views: int) -> None:
    block = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {}
    exec(block[1], names)
    path = tmp_path / "t.cache"
    cache = TeacherCache.open_or_build(
        path, teacher=small_teacher(), images=striped_pictures(5), views=3, feature_views=feature_views
    )
    header, bases, wide, narrow = names["read_teacher_cache"](path)
    assert header == cache.header.model_dump(mode="json")
    np.testing.assert_array_equal(bases, cache.records.bases)
    for view in range(3):
        records = wide[view] if view < feature_views else narrow[view - feature_views]
        np.testing.assert_array_equal(records["logits"].astype(np.float32), cache.logits(range(5), view))
        kept = cache.features(range(5), view)
        if kept is not None:
            np.testing.assert_array_equal(records["features"][:, 2].astype(np.float32), kept.key.numpy())


def test_the_documented_sizes_are_the_planned_ones() -> None:
    rows = re.findall(
        r"^\| ([\d,]+) at .*n = (\d+), D = (\d+)\) \| (\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", PAGE, re.M
    )
    assert len(rows) == 3
    for images, n, D, views, *sizes in rows:
        for feature_views, size in zip((0, 1, 4), sizes, strict=True):
            planned = planned_bytes(
                images=int(images.replace(",", "")),
                views=int(views),
                classes=4,
                feature_views=feature_views,
                tokens=int(n),
                width=64,
                teacher_width=int(D),
            )
            assert planned == int(size.replace(",", ""))
