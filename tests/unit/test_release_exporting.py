"""The repository on a stick: what a unit may ask for, and nothing else."""

from pathlib import Path

import pytest

from eyebright_common.errors import InputError, TrustError
from eyebright_common.trust import FolderFetcher, UpdateClient
from eyebright_server.release.exporting import export_repository
from signed_network import new_repository, write_release


@pytest.fixture
def repository(tmp_path: Path):
    made = new_repository(tmp_path)
    made.publish(write_release(tmp_path / "r1"))
    return made


def unit(folder: Path, root: bytes, state: Path) -> UpdateClient:
    return UpdateClient(state, FolderFetcher(folder), root)


def test_a_unit_updates_from_the_copy(repository, tmp_path: Path) -> None:
    root = (repository.folder / "metadata" / "1.root.json").read_bytes()
    made = export_repository(repository, tmp_path / "stick")
    assert made.files == made.written == len([path for path in (tmp_path / "stick").rglob("*") if path.is_file()])
    assert made.size_bytes > 700 * 1024
    client = unit(tmp_path / "stick", root, tmp_path / "unit")
    client.refresh()
    folder = client.download_release("fundus", "1", tmp_path / "got")
    assert (folder / "model.onnx").read_bytes() == (tmp_path / "r1" / "model.onnx").read_bytes()


def test_exporting_again_brings_the_copy_up_to_date(repository, tmp_path: Path) -> None:
    root = (repository.folder / "metadata" / "1.root.json").read_bytes()
    before = export_repository(repository, tmp_path / "stick")
    repository.publish(write_release(tmp_path / "r2", version="2"))
    after = export_repository(repository, tmp_path / "stick")
    # Three files and their bundle, their list, a snapshot for it and one for the stick, and the timestamp: no file of
    # release 1 is written again.
    assert (after.written, after.files - before.files) == (8, 7)
    client = unit(tmp_path / "stick", root, tmp_path / "unit")
    client.refresh()
    assert [release.version for release in client.available("fundus")] == ["1", "2"]


def test_no_key_no_lock_and_no_stray_file_leaves_with_it(repository, tmp_path: Path) -> None:
    (repository.folder / "metadata" / "notes.txt").write_text("private")
    export_repository(repository, tmp_path / "stick")
    names = {path.name for path in (tmp_path / "stick").rglob("*") if path.is_file()}
    assert not any(name.endswith((".pem", ".txt", ".lock")) for name in names)


def test_a_link_in_the_repository_is_not_followed(repository, tmp_path: Path) -> None:
    (repository.folder / "targets" / "way-out").symlink_to("/etc")
    with pytest.raises(TrustError, match="a link lies in the repository"):
        export_repository(repository, tmp_path / "stick")


def test_a_folder_with_something_else_in_it_is_left_alone(repository, tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "photos").mkdir()
    with pytest.raises(InputError, match="holds something else"):
        export_repository(repository, tmp_path / "stick")
