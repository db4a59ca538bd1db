"""A release of which not every file is wanted, or of which some lie there already: what arrives is what was signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from eyebright_common.errors import TargetRejected
from eyebright_common.trust import FolderFetcher, UpdateClient
from signed_network import new_repository, write_release

FILES = {"model.onnx": b"full" * 50_000, "model.int8.onnx": b"int8" * 20_000, "card.md": b"# card\n"}


class Counting(FolderFetcher):
    """Notes what is asked for."""

    def __init__(self, repository: Path) -> None:
        super().__init__(repository)
        self.asked: list[str] = []

    def _fetch(self, url: str):
        self.asked.append(url.rpartition(".")[0].rpartition("/")[2] + "." + url.rpartition(".")[2])
        return super()._fetch(url)


@pytest.fixture
def repository(tmp_path):
    made = new_repository(tmp_path)
    made.publish(write_release(tmp_path / "release", files=FILES))
    return made


@pytest.fixture
def web(repository) -> Counting:
    return Counting(repository.folder)


@pytest.fixture
def client(repository, web, tmp_path) -> UpdateClient:
    root = (repository.folder / "metadata" / "1.root.json").read_bytes()
    return UpdateClient(tmp_path / "unit", web, root)


def asked_for(web: Counting, name: str) -> bool:
    return any(name in one for one in web.asked)


def test_files_that_are_left_out_are_not_fetched_and_the_choice_is_made_from_verified_bytes(client, web, tmp_path):
    seen = []

    def leave_out(described: bytes) -> set[str]:
        seen.append(described)
        return {"model.int8.onnx", "release.json", "no such file"}

    client.download_release("fundus", "1", tmp_path / "got", leave_out=leave_out)
    assert seen == [(tmp_path / "release" / "release.json").read_bytes()]
    assert sorted(f.name for f in (tmp_path / "got").iterdir()) == ["card.md", "model.onnx", "release.json"]
    assert not asked_for(web, "model.int8.onnx")


def test_a_file_that_is_at_hand_is_copied_and_not_fetched(client, web, tmp_path):
    client.download_release("fundus", "1", tmp_path / "first", leave_out=lambda described: {"model.int8.onnx"})
    web.asked.clear()
    client.download_release("fundus", "1", tmp_path / "whole", at_hand=tmp_path / "first")
    assert {f.name: f.read_bytes() for f in (tmp_path / "whole").iterdir() if f.name in FILES} == FILES
    assert asked_for(web, "model.int8.onnx")
    assert not asked_for(web, "model.onnx")


@pytest.mark.parametrize("spoil", ["changed", "cut", "longer", "a link", "a folder"])
def test_what_is_at_hand_is_believed_by_its_signed_digest_alone(client, web, tmp_path, spoil):
    client.download_release("fundus", "1", tmp_path / "first")
    file, data = tmp_path / "first" / "model.onnx", FILES["model.onnx"]
    file.unlink()
    if spoil == "a link":
        file.symlink_to(tmp_path / "release" / "model.onnx")
    elif spoil == "a folder":
        file.mkdir()
    else:
        file.write_bytes({"changed": b"evil" + data[4:], "cut": data[:-1], "longer": data + b"x"}[spoil])
    web.asked.clear()
    client.download_release("fundus", "1", tmp_path / "again", at_hand=tmp_path / "first")
    assert (tmp_path / "again" / "model.onnx").read_bytes() == data
    assert not (tmp_path / "again" / "model.onnx").is_symlink()
    assert asked_for(web, "model.onnx")


def test_a_failed_download_does_not_touch_what_is_at_hand(client, repository, tmp_path):
    client.download_release("fundus", "1", tmp_path / "first")
    kept = tmp_path / "first" / "model.int8.onnx"
    kept.write_bytes(b"damaged")
    (served,) = (repository.folder / "targets").rglob("*.model.int8.onnx")
    served.write_bytes(b"evil" * 20_000)
    with pytest.raises(TargetRejected):
        client.download_release("fundus", "1", tmp_path / "again", at_hand=tmp_path / "first")
    assert kept.read_bytes() == b"damaged"
    assert not (tmp_path / "again").exists()


def test_a_choice_that_changes_between_two_tries_leaves_nothing_unwanted(client, tmp_path):
    partial = tmp_path / ".got.partial"
    partial.mkdir()
    (partial / "model.int8.onnx").write_bytes(FILES["model.int8.onnx"])
    client.download_release("fundus", "1", tmp_path / "got", leave_out=lambda described: {"model.int8.onnx"})
    assert not (tmp_path / "got" / "model.int8.onnx").exists()
