"""A stale cache is refused, and the reason is said in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyebright_learning.data import PreparedImages
from eyebright_learning.teacher_cache import TeacherCache, check_key
from eyebright_learning.views import STRONG_STUDENT
from learning_pictures import small_teacher, striped_pictures

IMAGES = striped_pictures(4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cache") / "t.cache"
    TeacherCache.open_or_build(made, teacher=small_teacher(), images=IMAGES, views=2, feature_views=1)
    return made


def reasons(path: Path, *, images: PreparedImages = IMAGES, digest: str = "", views: int = 2, **other: object) -> str:
    found = check_key(path, teacher_sha256=digest or small_teacher().digest(), images=images, views=views, **other)
    return "; ".join(found)


def test_a_cache_of_the_same_has_nothing_against_it(path: Path) -> None:
    assert reasons(path, classes=4, feature_views=1) == ""


def test_another_teacher_is_named(path: Path) -> None:
    assert reasons(path, digest="0" * 64) == f"teacher: {small_teacher().digest()[:12]}, not 000000000000"


def test_another_number_of_classes_is_named(path: Path) -> None:
    assert reasons(path, classes=3) == "classes: 4, not 3"


def test_other_pictures_are_named(path: Path) -> None:
    assert reasons(path, images=striped_pictures(4, seed=5)).startswith("pictures: ")


def test_another_picture_size_is_named(path: Path) -> None:
    assert "picture size: 32 px, not 48 px" in reasons(path, images=striped_pictures(4, size=48))


def test_fewer_pictures_are_named(path: Path) -> None:
    assert "number of pictures: 4, not 3" in reasons(path, images=striped_pictures(3))


def test_another_modality_is_named(path: Path) -> None:
    assert reasons(path, modality="OCT") == "modality: CFP, not OCT"


def test_too_few_views_are_named(path: Path) -> None:
    assert reasons(path, views=3) == "views: 2, fewer than 3"


def test_too_few_views_with_features_are_named(path: Path) -> None:
    assert reasons(path, feature_views=2) == "views with features: 1, fewer than 2"


def test_another_library_version_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eyebright_learning.teacher_cache.key.version", lambda name: "0.0")
    assert "torch: " in reasons(path)
    assert "not 0.0" in reasons(path)


def test_another_family_of_views_is_named(path: Path) -> None:
    assert reasons(path, family=STRONG_STUDENT) == f"view pipeline: views-1, not {STRONG_STUDENT}"


def test_another_reduction_matters_to_who_wants_features_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eyebright_learning.teacher_cache.staleness.REDUCTION_ID", "features-9")
    assert reasons(path) == ""
    assert reasons(path, feature_views=1) == "features: features-1, not features-9"


def test_what_is_refused_does_not_open(path: Path) -> None:
    assert TeacherCache.open(path, teacher_sha256="0" * 64, images=IMAGES, views=2) is None


def test_an_absent_file_and_a_broken_one_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"EYBCACH2")
    assert reasons(tmp_path / "absent") == "there is no such file"
    assert reasons(tmp_path / "broken") == "no complete teacher cache of this version"
