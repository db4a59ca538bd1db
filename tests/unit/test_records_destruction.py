"""Deleting a file so that its bytes go with it."""

import os
from pathlib import Path

import pytest

from eyebright_edge.records import destruction
from eyebright_edge.records.destruction import destroy


def test_the_bytes_are_overwritten_before_the_name_goes(tmp_path: Path) -> None:
    file, other = tmp_path / "picture.jpg", tmp_path / "still-there"
    file.write_bytes(b"patient" * 100)
    os.link(file, other)
    destroy(file)
    assert not file.exists()
    assert len(other.read_bytes()) == 700
    assert b"patient" not in other.read_bytes()


def test_a_file_that_is_not_there_is_deleted_already(tmp_path: Path) -> None:
    destroy(tmp_path / "nothing")


def test_a_camera_s_read_only_file_is_deleted_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "picture.jpg"
    file.write_bytes(b"patient")

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    # Whoever runs the tests as root may write any file: only the refusal itself can be played.
    with monkeypatch.context() as playing:
        playing.setattr(destruction, "_overwrite", denied)
        destroy(file)
    assert not file.exists()
