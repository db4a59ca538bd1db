"""Files that are replaced whole or not at all."""

import stat
import threading
from pathlib import Path

import pytest

from eyebright_common.durable import move_into_place, replacing, write_bytes, write_json


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    file = tmp_path / "kept.txt"
    write_bytes(file, b"old")
    with pytest.raises(RuntimeError, match="half-way"), replacing(file) as draft:
        draft.write(b"ne")
        raise RuntimeError("half-way")
    assert file.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.txt"]


def test_two_threads_that_write_one_file_do_not_mix_their_content(tmp_path: Path) -> None:
    file, both_open = tmp_path / "shared.txt", threading.Barrier(2)

    def write(letter: bytes) -> None:
        with replacing(file) as draft:
            draft.write(letter * 1000)
            both_open.wait(timeout=30)
            draft.write(letter * 1000)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert file.read_bytes() in (b"a" * 2000, b"b" * 2000)
    assert [entry.name for entry in tmp_path.iterdir()] == ["shared.txt"]


def test_a_folder_is_not_moved_over_one_in_use(tmp_path: Path) -> None:
    for name in ("draft", "kept"):
        write_bytes(tmp_path / name / "inside", name.encode())
    with pytest.raises(OSError, match="not empty"):
        move_into_place(tmp_path / "draft", tmp_path / "kept")
    assert (tmp_path / "kept" / "inside").read_bytes() == b"kept"


def test_a_key_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_bytes(tmp_path / "key", b"secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"auroc": float("nan")})
    assert not (tmp_path / "x.json").exists()
