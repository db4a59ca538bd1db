"""Publishing: what a killed, repeated or careless publication leaves behind."""

import json
from pathlib import Path

import pytest

from eyebright_common.errors import ReleaseError, TrustError
from eyebright_server.release.repository import ReleaseRepository
from eyebright_server.release.signed_metadata import Expiries
from signed_network import Clock, QuickStorage, folder_client, new_repository, write_release


class PowerCut(BaseException):
    """Not an Exception: nothing on the way may catch it, as nothing catches a power cut."""


class StorageUntil(QuickStorage):
    """Writes a number of files, then cuts the power."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def _spend(self) -> None:
        if self.left == 0:
            raise PowerCut
        self.left -= 1

    def write(self, path: Path, data: bytes) -> None:
        self._spend()
        super().write(path, data)

    def copy(self, source: Path, path: Path) -> None:
        self._spend()
        super().copy(source, path)


# three files, their bundle, the list of students, snapshot, timestamp
@pytest.mark.parametrize("writes", range(7))
def test_power_cut_before_any_write_of_a_publication_leaves_the_old_state(tmp_path, writes):
    new_repository(tmp_path).publish(write_release(tmp_path / "r1"))
    cut = ReleaseRepository.open(tmp_path / "repository", tmp_path / "keys", storage=StorageUntil(writes))
    second = write_release(tmp_path / "r2", version="2", files={"model.onnx": b"two", "card.md": b"2"})
    with pytest.raises(PowerCut):
        cut.publish(second)

    after = ReleaseRepository.open(tmp_path / "repository", tmp_path / "keys", storage=QuickStorage())
    client = folder_client(after, tmp_path / "unit")
    assert [r.version for r in client.available("fundus")] == ["1"]
    client.download_release("fundus", "1", tmp_path / "slot1")
    after.publish(second)
    client.refresh()
    assert [r.version for r in client.available("fundus")] == ["1", "2"]
    assert (client.download_release("fundus", "2", tmp_path / "slot2") / "model.onnx").read_bytes() == b"two"


def test_power_cut_during_a_root_rotation_leaves_a_repository_that_can_go_on(tmp_path):
    new_repository(tmp_path).publish(write_release(tmp_path / "r1"))
    cut = ReleaseRepository.open(tmp_path / "repository", tmp_path / "keys", storage=StorageUntil(0))
    with pytest.raises(PowerCut):
        cut.rotate_root_key()
    after = ReleaseRepository.open(tmp_path / "repository", tmp_path / "keys", storage=QuickStorage())
    client = folder_client(after, tmp_path / "unit")
    client.refresh()
    after.rotate_root_key()
    after.publish(write_release(tmp_path / "r2", version="2"))
    client.refresh()
    assert [r.version for r in client.available("fundus")] == ["1", "2"]


def test_a_retired_root_key_is_gone(tmp_path):
    repository = new_repository(tmp_path)
    before = set((tmp_path / "keys" / "offline").glob("root-*.pem"))
    repository.rotate_root_key()
    after = set((tmp_path / "keys" / "offline").glob("root-*.pem"))
    assert len(before) == len(after) == 3
    assert len(before & after) == 2


def test_publishing_the_same_release_again_changes_nothing(tmp_path):
    repository = new_repository(tmp_path)
    release = write_release(tmp_path / "r1")
    first = repository.publish(release)
    before = {p: p.read_bytes() for p in repository.folder.rglob("*") if p.is_file()}
    assert repository.publish(release) == first
    assert {p: p.read_bytes() for p in repository.folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("change", ["other bytes", "one more file", "one file less"])
def test_a_published_version_keeps_its_bytes(tmp_path, change):
    repository = new_repository(tmp_path)
    release = write_release(tmp_path / "r1")
    repository.publish(release)
    if change == "other bytes":
        (release / "card.md").write_text("another card")
    elif change == "one more file":
        (release / "extra.json").write_text("{}")
    else:
        (release / "card.md").unlink()
    with pytest.raises(ReleaseError, match="other bytes"):
        repository.publish(release)


def test_going_back_needs_a_higher_version(tmp_path):
    repository = new_repository(tmp_path)
    repository.publish(write_release(tmp_path / "r2", version="2"))
    with pytest.raises(ReleaseError, match="newer version"):
        repository.publish(write_release(tmp_path / "r1", version="1"))


def test_versions_of_two_tasks_do_not_meet(tmp_path):
    repository = new_repository(tmp_path)
    repository.publish(write_release(tmp_path / "f", version="5"))
    repository.publish(write_release(tmp_path / "o", version="1", task="oct"))
    assert [(r.task, r.version) for r in repository.releases()] == [("fundus", "5"), ("oct", "1")]


def test_a_folder_without_release_json_is_no_release(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match="not a release"):
        new_repository(tmp_path).publish(tmp_path / "empty")


def test_a_release_that_says_it_is_another_is_refused(tmp_path):
    with pytest.raises(ReleaseError, match="another"):
        new_repository(tmp_path).publish(write_release(tmp_path / "r1"), version="2")


def test_a_link_in_a_release_is_refused(tmp_path):
    release = write_release(tmp_path / "r1")
    (release / "passwords.json").symlink_to("/etc/hostname")
    with pytest.raises(ReleaseError, match="plain files"):
        new_repository(tmp_path).publish(release)


@pytest.mark.parametrize("version", ["0", "01", "1.0", "../1", "", "-1"])
def test_a_version_that_is_no_number_is_refused(tmp_path, version):
    with pytest.raises(ReleaseError):
        new_repository(tmp_path).publish(write_release(tmp_path / "r", version=version))


def test_targets_changed_in_the_served_folder_are_never_signed(tmp_path):
    repository = new_repository(tmp_path)
    repository.publish(write_release(tmp_path / "r1"))
    path = repository.folder / "metadata" / "2.students.json"
    content = json.loads(path.read_bytes())
    content["signed"]["targets"]["evil"] = {"length": 1, "hashes": {"sha256": "00"}}
    path.write_text(json.dumps(content))
    with pytest.raises(TrustError, match="does not verify"):
        repository.publish(write_release(tmp_path / "r2", version="2"))


def test_an_older_list_of_targets_under_a_newer_name_is_never_built_upon(tmp_path):
    repository = new_repository(tmp_path)
    repository.publish(write_release(tmp_path / "r1"))
    metadata = repository.folder / "metadata"
    (metadata / "2.students.json").write_bytes((metadata / "1.students.json").read_bytes())  # validly signed, but empty
    with pytest.raises(TrustError, match="does not verify"):
        repository.publish(write_release(tmp_path / "r2", version="2"))


def test_publishing_without_the_second_offline_key_is_refused_before_anything_is_written(tmp_path):
    repository = new_repository(tmp_path)
    next((tmp_path / "keys" / "offline").glob("students-*.pem")).unlink()
    with pytest.raises(TrustError, match="too few keys"):
        repository.publish(write_release(tmp_path / "r1"))
    assert list((repository.folder / "targets").iterdir()) == []


def test_the_server_renews_without_any_offline_key(tmp_path):
    repository = new_repository(tmp_path)
    (tmp_path / "keys" / "offline").rename(tmp_path / "safe")
    assert repository.renew_online()
    folder_client(repository, tmp_path / "unit").refresh()


def test_renewal_waits_until_the_timestamp_is_due(tmp_path):
    clock = Clock()
    repository = new_repository(tmp_path, clock=clock)
    half = Expiries().timestamp / 2
    assert not repository.renew_online(unless_valid_for=half)
    clock.pass_time(half)
    assert repository.renew_online(unless_valid_for=half)


def test_keys_are_not_readable_by_others_and_lie_outside_the_served_folder(tmp_path):
    repository = new_repository(tmp_path)
    keys = list((tmp_path / "keys").rglob("*.pem"))
    assert len(keys) == 3 + 2 + 2 + 2 + 1 + 1 + 1  # root, targets, students, teachers, models; snapshot, timestamp
    assert {p.stat().st_mode & 0o777 for p in keys} == {0o600}
    assert not list(repository.folder.rglob("*.pem"))


def test_keys_in_the_served_folder_are_refused(tmp_path):
    with pytest.raises(TrustError, match="served folder"):
        ReleaseRepository.create(tmp_path / "repository", tmp_path / "repository" / "keys")


def test_a_repository_is_not_made_over_another(tmp_path):
    new_repository(tmp_path)
    with pytest.raises(TrustError, match="already"):
        new_repository(tmp_path)


def test_opening_where_nothing_is_says_so(tmp_path):
    with pytest.raises(TrustError, match="no repository"):
        ReleaseRepository.open(tmp_path / "nothing", tmp_path / "keys")


def test_encrypted_offline_keys_need_their_passphrase(tmp_path):
    folders = (tmp_path / "repository", tmp_path / "keys")
    ReleaseRepository.create(*folders, passphrase=b"correct horse")
    release = write_release(tmp_path / "r1")
    with pytest.raises(TrustError, match="cannot be opened"):
        ReleaseRepository.open(*folders).publish(release)
    assert ReleaseRepository.open(*folders, passphrase=b"correct horse").publish(release).version == "1"


def test_a_teacher_is_a_target_of_its_own(tmp_path):
    repository = new_repository(tmp_path)
    (tmp_path / "teacher.safetensors").write_bytes(b"weights")
    repository.add_target(tmp_path / "teacher.safetensors", "teachers/fundus/abc.safetensors")
    client = folder_client(repository, tmp_path / "unit")
    got = client.download_target("teachers/fundus/abc.safetensors", tmp_path / "unit" / "teacher.safetensors")
    assert got.read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["releases/fundus/9/model.onnx", "../x", "a//b", "/etc/passwd", "."])
def test_a_single_target_cannot_pose_as_a_release_or_leave_the_folder(tmp_path, name):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ReleaseError):
        new_repository(tmp_path).add_target(tmp_path / "file", name)
