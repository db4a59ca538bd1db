"""A release folder is verified file by file."""

from pathlib import Path

import pytest

from eyebright_common.errors import ReleaseError, TargetRejected
from eyebright_common.release import GOLDEN_FILE, describe_artefact, read_golden, read_release, save_golden
from release_folders import golden_cases, write_release


def test_an_untouched_release_reads(tmp_path: Path) -> None:
    assert write_release(tmp_path) == read_release(tmp_path)


def test_a_folder_without_a_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="holds no release"):
        read_release(tmp_path / "nowhere")


def test_a_missing_artefact_is_named(tmp_path: Path) -> None:
    write_release(tmp_path)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(TargetRejected, match=r"lacks a file it lists.*model\.onnx"):
        read_release(tmp_path)


def test_a_cut_artefact_is_named_with_both_lengths(tmp_path: Path) -> None:
    write_release(tmp_path, model=b"0123456789")
    (tmp_path / "model.onnx").write_bytes(b"01234")
    with pytest.raises(TargetRejected, match=r"model\.onnx has 5 bytes, listed are 10"):
        read_release(tmp_path)


def test_one_flipped_bit_is_found(tmp_path: Path) -> None:
    write_release(tmp_path, model=b"0123456789")
    (tmp_path / "model.onnx").write_bytes(b"0123456788")
    with pytest.raises(TargetRejected, match=r"SHA-256 differs.*model\.onnx"):
        read_release(tmp_path)


def test_a_link_out_of_the_folder_is_refused_even_with_the_right_content(tmp_path: Path) -> None:
    write_release(tmp_path / "release", model=b"content")
    outside = tmp_path / "elsewhere"
    outside.write_bytes(b"content")
    model = tmp_path / "release" / "model.onnx"
    model.unlink()
    model.symlink_to(outside)
    with pytest.raises(TargetRejected, match="link or folder"):
        read_release(tmp_path / "release")


def test_a_huge_description_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "release.json").open("wb") as file:
        file.truncate(5 << 20)
    with pytest.raises(ReleaseError, match="far too long"):
        read_release(tmp_path)


def test_files_that_are_not_listed_do_not_matter(tmp_path: Path) -> None:
    release = write_release(tmp_path)
    (tmp_path / "note.txt").write_text("hello")
    assert read_release(tmp_path) == release


def test_the_golden_cases_of_a_release_are_read_with_it(tmp_path: Path) -> None:
    release = write_release(tmp_path)
    assert len(read_golden(tmp_path, release).inputs) == 3


def test_golden_cases_of_another_release_are_refused(tmp_path: Path) -> None:
    write_release(tmp_path)
    save_golden(tmp_path / GOLDEN_FILE, golden_cases(threshold=0.3))
    artefacts = tuple(describe_artefact(tmp_path / name) for name in ("model.onnx", GOLDEN_FILE))
    release = write_release(tmp_path).model_copy(update={"artefacts": artefacts})
    save_golden(tmp_path / GOLDEN_FILE, golden_cases(threshold=0.3))
    with pytest.raises(ReleaseError, match="another release"):
        read_golden(tmp_path, release)
