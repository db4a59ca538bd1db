"""``eyebright teacher-cache`` as somebody at a hospital types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from command_line import exit_code, run_command
from eyebright_learning.teacher_cache import TeacherCache, planned_bytes
from learning_pictures import small_teacher, striped_pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two teachers, two sets of pictures and a cache of the first of each."""
    made = tmp_path_factory.mktemp("hospital")
    small_teacher().save(made / "teacher.safetensors")
    small_teacher(seed=1).save(made / "other.safetensors")
    striped_pictures(6).save(made / "images.npz")
    striped_pictures(6, seed=1).save(made / "other.npz")
    assert exit_code("teacher-cache", "build", *sources(made), "--out", made / "t.cache", *wanted()) == 0
    return made


def sources(folder: Path, *, teacher: str = "teacher", images: str = "images") -> list[object]:
    return ["--teacher", folder / f"{teacher}.safetensors", "--images", folder / f"{images}.npz"]


def wanted(*, views: int = 3, feature_views: int = 2) -> list[object]:
    return ["--views", views, "--feature-views", feature_views]


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    return run_command(capsys, "teacher-cache", *words)


def test_a_built_cache_is_the_one_that_learning_opens(folder: Path) -> None:
    opened = TeacherCache.open(
        folder / "t.cache",
        teacher_sha256=small_teacher().digest(),
        images=striped_pictures(6),
        views=3,
        feature_views=2,
    )
    assert opened is not None
    assert opened.feature_shape == (4, 64)


def test_the_size_is_announced_before_the_work(folder: Path, tmp_path: Path, capsys) -> None:
    code, out, error = run(capsys, "build", *sources(folder), "--out", tmp_path / "t.cache", *wanted(), "--json")
    size = planned_bytes(images=6, views=3, classes=4, feature_views=2, tokens=4, width=64, teacher_width=64)
    assert code == 0
    assert f"{size:,} bytes" in error
    facts = json.loads(out)
    assert (facts["size_bytes"], facts["complete"]) == (size, True)


def test_building_again_does_nothing_and_announces_nothing(folder: Path, capsys) -> None:
    before = (folder / "t.cache").stat().st_mtime_ns
    code, _, error = run(capsys, "build", *sources(folder), "--out", folder / "t.cache", *wanted())
    assert (code, error.strip()) == (0, "")
    assert (folder / "t.cache").stat().st_mtime_ns == before


def test_a_cache_of_something_else_is_built_again_and_the_reason_is_named(folder: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "t.cache"
    path.write_bytes((folder / "t.cache").read_bytes())
    code, _, error = run(capsys, "build", *sources(folder, teacher="other"), "--out", path, *wanted())
    assert code == 0
    assert "building again: teacher: " in error


def test_a_file_that_is_no_cache_is_not_written_over(folder: Path, tmp_path: Path, capsys) -> None:
    precious = tmp_path / "precious.npz"
    precious.write_bytes((folder / "images.npz").read_bytes())
    code, _, error = run(capsys, "build", *sources(folder), "--out", precious, *wanted())
    assert code == 2
    assert "not a teacher cache" in error
    assert precious.read_bytes() == (folder / "images.npz").read_bytes()


def test_a_folder_is_not_written_over_either(folder: Path, tmp_path: Path, capsys) -> None:
    code, _, error = run(capsys, "build", *sources(folder), "--out", tmp_path, *wanted())
    assert code == 2
    assert "not a teacher cache" in error


def test_more_views_with_features_than_views_is_one_clear_error(folder: Path, tmp_path: Path, capsys) -> None:
    code, _, error = run(capsys, "build", *sources(folder), "--out", tmp_path / "t", *wanted(views=1))
    assert code == 2
    assert "2 of 1 views" in error


def test_info_says_what_a_file_was_made_from(folder: Path, capsys) -> None:
    code, out, _ = run(capsys, "info", folder / "t.cache")
    assert code == 0
    assert small_teacher().digest() in out
    assert "6 pictures of 32 px x 3 views" in out
    assert "4 tokens, 64 of 64 directions" in out


def test_info_tells_a_cache_that_was_not_finished(folder: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "t.cache.partial").write_bytes((folder / "t.cache").read_bytes()[:-5])
    code, out, _ = run(capsys, "info", tmp_path / "t.cache.partial", "--json")
    assert (code, json.loads(out)["complete"]) == (0, False)


@pytest.mark.parametrize("name", ["images.npz", "absent"])
def test_info_of_something_else_is_one_clear_error(folder: Path, capsys, name: str) -> None:
    code, _, error = run(capsys, "info", folder / name)
    assert code == 2
    assert "teacher cache" in error


def test_an_intact_cache_verifies(folder: Path, capsys) -> None:
    code, out, _ = run(capsys, "verify", folder / "t.cache", *sources(folder), "--fraction", 1)
    assert code == 0
    assert "18 records computed again, 12 of them with features" in out
    assert "passed" in out


def test_a_damaged_cache_fails_verification_with_exit_code_one(folder: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "t.cache"
    path.write_bytes((folder / "t.cache").read_bytes()[:-2] + np.float16(np.nan).tobytes())
    code, out, _ = run(capsys, "verify", path, *sources(folder), "--fraction", 1, "--json")
    found = json.loads(out)
    assert (code, found["passed"], found["max_abs_error"]) == (1, False, None)


@pytest.mark.parametrize(
    ("other", "reason"), [({"teacher": "other"}, "teacher: "), ({"images": "other"}, "pictures: ")]
)
def test_a_stale_cache_is_refused_by_its_reason(folder: Path, capsys, other: dict[str, str], reason: str) -> None:
    code, _, error = run(capsys, "verify", folder / "t.cache", *sources(folder, **other))
    assert code == 2
    assert f"the cache is of something else: {reason}" in error


def test_a_cache_cut_short_is_refused(folder: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "t.cache"
    path.write_bytes((folder / "t.cache").read_bytes()[:-1])
    code, _, error = run(capsys, "verify", path, *sources(folder))
    assert code == 2
    assert "no complete teacher cache" in error
