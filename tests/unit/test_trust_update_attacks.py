"""What an attacker who holds the served folder, but no key, can make a unit believe: nothing."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api import exceptions as tuf_errors

from eyebright_common.errors import MetadataExpired, NotPublished, TargetRejected, TrustError
from eyebright_common.trust import FolderFetcher, UpdateClient
from eyebright_server.release.repository import ReleaseRepository
from signed_network import MODEL, Clock, folder_client, new_repository, write_release


@pytest.fixture
def repository(tmp_path: Path) -> ReleaseRepository:
    made = new_repository(tmp_path)
    made.publish(write_release(tmp_path / "release"))
    return made


def served_model(repository: ReleaseRepository) -> Path:
    (path,) = (repository.folder / "targets" / "releases" / "fundus" / "1").glob("*.model.onnx")
    return path


def test_a_unit_gets_exactly_the_published_files(repository, tmp_path):
    client = folder_client(repository, tmp_path / "unit")
    (release,) = client.available("fundus")
    folder = client.download_release("fundus", release.version, tmp_path / "slot")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "release").iterdir()
    }


def test_releases_of_another_task_are_not_offered(repository, tmp_path):
    assert folder_client(repository, tmp_path / "unit").available("oct") == ()


def test_releases_are_listed_oldest_first_by_number_not_by_spelling(repository, tmp_path):
    for version in ("2", "9", "10"):
        repository.publish(write_release(tmp_path / f"r{version}", version=version))
    versions = [r.version for r in folder_client(repository, tmp_path / "unit").available("fundus")]
    assert versions == ["1", "2", "9", "10"]


def test_an_unknown_version_is_said_to_be_unknown(repository, tmp_path):
    with pytest.raises(NotPublished):
        folder_client(repository, tmp_path / "unit").download_release("fundus", "7", tmp_path / "slot")


def test_flipped_byte_in_a_target_is_refused_and_leaves_nothing(repository, tmp_path):
    path = served_model(repository)
    data = bytearray(path.read_bytes())
    data[12345] ^= 1
    path.write_bytes(data)
    with pytest.raises(TargetRejected):
        folder_client(repository, tmp_path / "unit").download_release("fundus", "1", tmp_path / "slot")
    assert not (tmp_path / "slot").exists()
    assert not (tmp_path / ".slot.partial" / "model.onnx").exists()


def test_longer_file_is_refused(repository, tmp_path):
    path = served_model(repository)
    path.write_bytes(MODEL + b"!")
    with pytest.raises(TargetRejected) as refused:
        folder_client(repository, tmp_path / "unit").download_release("fundus", "1", tmp_path / "slot")
    assert isinstance(refused.value.__cause__, tuf_errors.DownloadLengthMismatchError)


def test_shorter_file_is_refused(repository, tmp_path):
    served_model(repository).write_bytes(MODEL[:-1])
    with pytest.raises(TargetRejected):
        folder_client(repository, tmp_path / "unit").download_release("fundus", "1", tmp_path / "slot")


def test_replayed_timestamp_is_refused(repository, tmp_path):
    old = (repository.folder / "metadata" / "timestamp.json").read_bytes()
    repository.renew_online()
    folder_client(repository, tmp_path / "unit").refresh()
    (repository.folder / "metadata" / "timestamp.json").write_bytes(old)
    with pytest.raises(TrustError) as refused:
        folder_client(repository, tmp_path / "unit").refresh()
    assert isinstance(refused.value.__cause__, tuf_errors.BadVersionNumberError)


def test_rollback_of_the_whole_repository_is_refused(repository, tmp_path):
    shutil.copytree(repository.folder / "metadata", tmp_path / "old")
    repository.publish(write_release(tmp_path / "r2", version="2"))
    folder_client(repository, tmp_path / "unit").refresh()
    shutil.rmtree(repository.folder / "metadata")
    shutil.copytree(tmp_path / "old", repository.folder / "metadata")
    with pytest.raises(TrustError, match="BadVersionNumberError"):
        folder_client(repository, tmp_path / "unit").refresh()


def test_freeze_is_noticed_when_the_timestamp_ends(tmp_path):
    clock = Clock()
    clock.pass_time(timedelta(days=-2))
    frozen = new_repository(tmp_path, clock=clock)
    with pytest.raises(MetadataExpired):
        folder_client(frozen, tmp_path / "unit").refresh()


def test_expired_root_is_refused(tmp_path):
    clock = Clock()
    clock.pass_time(timedelta(days=-400))
    old = new_repository(tmp_path, clock=clock)
    with pytest.raises(MetadataExpired, match="root"):
        folder_client(old, tmp_path / "unit").refresh()


def change_and_serve(repository: ReleaseRepository, name: str, change) -> None:
    path = repository.folder / "metadata" / name
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_unsigned_timestamp_is_refused(repository, tmp_path):
    change_and_serve(repository, "timestamp.json", lambda c: c["signatures"].clear())
    with pytest.raises(TrustError) as refused:
        folder_client(repository, tmp_path / "unit").refresh()
    assert isinstance(refused.value.__cause__, tuf_errors.UnsignedMetadataError)


def test_changed_timestamp_is_refused(repository, tmp_path):
    change_and_serve(repository, "timestamp.json", lambda c: c["signed"].update(version=99))
    with pytest.raises(TrustError) as refused:
        folder_client(repository, tmp_path / "unit").refresh()
    assert isinstance(refused.value.__cause__, tuf_errors.UnsignedMetadataError)


def test_changed_targets_are_refused(repository, tmp_path):
    # The snapshot names length and hash of the list of students, so the change is seen before the signatures are.
    change_and_serve(repository, "2.students.json", lambda c: c["signed"]["targets"].clear())
    with pytest.raises(TrustError):
        folder_client(repository, tmp_path / "unit").available("fundus")


def test_one_of_two_root_signatures_is_not_enough(repository, tmp_path):
    repository.rotate_root_key()
    root = json.loads((repository.folder / "metadata" / "1.root.json").read_bytes())
    old_keys = set(root["signed"]["roles"]["root"]["keyids"])

    def keep_one_old_signature(content):
        old = [s for s in content["signatures"] if s["keyid"] in old_keys]
        new = [s for s in content["signatures"] if s["keyid"] not in old_keys]
        content["signatures"] = [old[0], *new]

    change_and_serve(repository, "2.root.json", keep_one_old_signature)
    with pytest.raises(TrustError) as refused:
        folder_client(repository, tmp_path / "unit").refresh()
    assert isinstance(refused.value.__cause__, tuf_errors.UnsignedMetadataError)


def test_root_rotation_is_followed_and_remembered(repository, tmp_path):
    client = folder_client(repository, tmp_path / "unit")
    client.refresh()
    repository.rotate_root_key()
    repository.rotate_root_key()
    client.refresh()
    assert json.loads((tmp_path / "unit/metadata/root.json").read_bytes())["signed"]["version"] == 3


def test_root_of_another_network_is_no_beginning(repository, tmp_path):
    stranger = new_repository(tmp_path / "stranger", clock=Clock())
    client = UpdateClient(tmp_path / "unit", FolderFetcher(repository.folder), stranger.root_metadata)
    with pytest.raises(TrustError):
        client.refresh()


def test_bootstrap_that_is_not_a_root_is_refused(repository, tmp_path):
    with pytest.raises(TrustError):
        UpdateClient(tmp_path / "unit", FolderFetcher(repository.folder), b"{}")


def test_folder_fetcher_stays_inside_its_folder(repository, tmp_path):
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(tuf_errors.DownloadHTTPError):
        FolderFetcher(repository.folder).fetch("eyebright://targets/../../secret")


def test_download_keeps_verified_files_when_a_later_one_fails(repository, tmp_path):
    model = served_model(repository)
    good = model.read_bytes()
    model.write_bytes(good[:-1] + b"?")
    client = folder_client(repository, tmp_path / "unit")
    with pytest.raises(TargetRejected):
        client.download_release("fundus", "1", tmp_path / "slot")
    assert (tmp_path / ".slot.partial" / "card.md").read_bytes() == b"# card\n"
    model.write_bytes(good)
    assert (client.download_release("fundus", "1", tmp_path / "slot") / "model.onnx").read_bytes() == MODEL
