"""Replacing and revoking keys: units follow by themselves, power cuts included, and a lost key is not the end."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from eyebright_common.errors import InputError, TrustError
from eyebright_common.trust import Locations
from eyebright_common.trust.keyring import key_at
from eyebright_server.release.repository import ReleaseRepository
from eyebright_server.release.role_keys import ROLES
from signed_network import Clock, QuickStorage, folder_client, new_repository, write_release


class PowerCut(BaseException):
    """Not an Exception: nothing on the way may catch it."""


class StorageUntil(QuickStorage):
    """Writes a number of files, then cuts the power."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def write(self, path: Path, data: bytes) -> None:
        if self.left == 0:
            raise PowerCut
        self.left -= 1
        super().write(path, data)


@pytest.fixture
def repository(tmp_path: Path) -> ReleaseRepository:
    made = new_repository(tmp_path)
    made.publish(write_release(tmp_path / "r1"))
    return made


def reopened(tmp_path: Path) -> ReleaseRepository:
    return ReleaseRepository.open(tmp_path / "repository", tmp_path / "keys", storage=QuickStorage())


def keys_of(repository: ReleaseRepository, role: str) -> list[str]:
    return [place.keyid for place in repository.key_places() if place.role == role]


@pytest.mark.parametrize("role", ROLES)
def test_a_replaced_key_is_followed_and_the_old_one_is_gone(repository, tmp_path, role):
    client = folder_client(repository, tmp_path / "unit")
    client.refresh()
    before = keys_of(repository, role)
    fresh = repository.rotate_key(role, before[0])
    after = keys_of(repository, role)
    assert len(after) == len(before)
    assert fresh in after
    assert before[0] not in after
    assert all(place.here for place in repository.key_places())
    assert not list((tmp_path / "keys").rglob(f"{role}-{before[0][:12]}.pem"))
    repository.publish(write_release(tmp_path / "r2", version="2"))
    client.refresh()
    assert [r.version for r in client.available("fundus")] == ["1", "2"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("writes", range(4))
def test_power_cut_during_a_rotation_leaves_units_and_repository_able_to_go_on(repository, tmp_path, role, writes):
    client = folder_client(repository, tmp_path / "unit")
    client.refresh()
    cut = ReleaseRepository.open(tmp_path / "repository", tmp_path / "keys", storage=StorageUntil(writes))
    try:
        cut.rotate_key(role)
    except PowerCut:
        pass
    else:
        assert writes > 0
    client.refresh()  # between any two writes the repository verifies
    assert [r.version for r in client.available("fundus")] == ["1"]
    folder_client(repository, tmp_path / "newcomer").refresh()
    after = reopened(tmp_path)
    after.rotate_key(role)
    after.publish(write_release(tmp_path / "r2", version="2"))
    client.refresh()
    assert [r.version for r in client.available("fundus")] == ["1", "2"]


@pytest.mark.parametrize("role", ROLES)
def test_a_lost_key_is_replaced_without_it(repository, tmp_path, role):
    client = folder_client(repository, tmp_path / "unit")
    client.refresh()
    lost = keys_of(repository, role)[0]
    next((tmp_path / "keys").rglob(f"{role}-{lost[:12]}.pem")).unlink()
    after = reopened(tmp_path)
    after.rotate_key(role)  # picks the one that is not here
    assert lost not in keys_of(after, role)
    after.publish(write_release(tmp_path / "r2", version="2"))
    client.refresh()
    assert [r.version for r in client.available("fundus")] == ["1", "2"]


def test_a_server_lost_with_both_its_keys_is_replaced_from_the_drawer(repository, tmp_path):
    client = folder_client(repository, tmp_path / "unit")
    client.refresh()
    shutil.rmtree(tmp_path / "keys" / "online")
    before = {path: path.read_bytes() for path in (tmp_path / "repository" / "metadata").iterdir() if path.is_file()}
    with pytest.raises(TrustError, match="key rotate DIR online"):
        reopened(tmp_path).rotate_key("timestamp")
    for path, content in before.items():
        assert path.read_bytes() == content
    after = reopened(tmp_path)
    assert set(after.rotate_online_keys()) == {"snapshot", "timestamp"}
    after.publish(write_release(tmp_path / "r2", version="2"))
    client.refresh()
    assert [r.version for r in client.available("fundus")] == ["1", "2"]


def test_releases_and_rollouts_need_the_students_keys_and_teachers_the_teachers(repository, tmp_path):
    (tmp_path / "drawer").mkdir()
    for role in ("root", "targets", "teachers"):
        for path in (tmp_path / "keys" / "offline").glob(f"{role}-*.pem"):
            shutil.move(path, tmp_path / "drawer")
    (tmp_path / "file").write_bytes(b"{}")
    repository.publish(write_release(tmp_path / "r2", version="2"))
    repository.add_target(tmp_path / "file", "rollouts/fundus/1.json")
    client = folder_client(repository, tmp_path / "unit")
    assert client.names("rollouts/fundus/") == ("rollouts/fundus/1.json",)
    for name, role in (("teachers/t.safetensors", "teachers"), ("notices/n.txt", "targets")):
        with pytest.raises(TrustError, match=f"too few keys to sign {role}"):
            repository.add_target(tmp_path / "file", name)


def test_a_unit_never_asks_for_the_list_of_teachers(repository, tmp_path):
    folder_client(repository, tmp_path / "unit").available("fundus")
    kept = {path.name for path in (tmp_path / "unit" / "metadata").glob("*.json")}
    assert kept == {"root.json", "timestamp.json", "snapshot.json", "targets.json", "students.json"}


def test_after_an_old_backup_new_online_keys_let_units_count_anew(repository, tmp_path):
    shutil.copytree(tmp_path / "repository", tmp_path / "backup")
    repository.publish(write_release(tmp_path / "r2", version="2"))
    client = folder_client(repository, tmp_path / "unit")
    client.refresh()
    client.available("fundus")
    shutil.rmtree(tmp_path / "repository")
    shutil.copytree(tmp_path / "backup", tmp_path / "repository")
    with pytest.raises(TrustError, match="BadVersionNumberError"):
        client.refresh()
    restored = reopened(tmp_path)
    restored.publish(tmp_path / "r2")
    restored.rotate_online_keys()
    client.refresh()
    assert [r.version for r in client.available("fundus")] == ["1", "2"]


def test_one_of_three_root_keys_is_revoked_without_a_successor(repository, tmp_path):
    stolen = keys_of(repository, "root")[1]
    assert repository.revoke_key(stolen[:12]) == ("root",)
    assert stolen not in keys_of(repository, "root")
    folder_client(repository, tmp_path / "unit").refresh()


@pytest.mark.parametrize("role", [role for role in ROLES if role != "root"])
def test_a_key_that_the_threshold_needs_is_not_revoked_but_replaced(repository, role):
    with pytest.raises(TrustError, match=f"eyebright server key rotate DIR {role}"):
        repository.revoke_key(keys_of(repository, role)[0])


def test_rotation_without_enough_root_keys_is_refused_before_a_key_is_made(repository, tmp_path):
    for path in sorted((tmp_path / "keys" / "offline").glob("root-*.pem"))[:2]:
        path.unlink()
    before = sorted((tmp_path / "keys").rglob("*.pem"))
    with pytest.raises(TrustError, match="too few keys to sign root"):
        reopened(tmp_path).rotate_key("timestamp")
    assert sorted((tmp_path / "keys").rglob("*.pem")) == before


def test_two_lost_keys_of_two_cannot_be_replaced_one_at_a_time(repository, tmp_path):
    for path in (tmp_path / "keys" / "offline").glob("students-*.pem"):
        path.unlink()
    with pytest.raises(TrustError, match="too few keys would be left"):
        reopened(tmp_path).rotate_key("students")


@pytest.mark.parametrize("role", [role for role in ROLES if role != "root"])
def test_all_keys_of_a_role_that_are_lost_are_replaced_by_whoever_names_them(repository, tmp_path, role):
    client = folder_client(repository, tmp_path / "unit")
    client.refresh()
    lost = keys_of(repository, role)
    for path in (tmp_path / "keys").rglob(f"{role}-*.pem"):
        path.unlink()
    fresh = reopened(tmp_path).rotate_role(role)
    after = reopened(tmp_path)
    assert len(fresh) == len(lost)
    assert set(keys_of(after, role)) == set(fresh)
    assert not set(fresh) & set(lost)
    after.publish(write_release(tmp_path / "r2", version="2"))
    client.refresh()
    assert [r.version for r in client.available("fundus")] == ["1", "2"]


def test_the_keys_of_the_root_are_not_replaced_all_at_once(repository, tmp_path):
    before = sorted((tmp_path / "keys").rglob("*.pem"))
    with pytest.raises(TrustError, match="cannot be replaced all at once"):
        reopened(tmp_path).rotate_role("root")
    assert sorted((tmp_path / "keys").rglob("*.pem")) == before


def test_all_keys_of_a_role_are_not_replaced_without_those_who_name_them(repository, tmp_path):
    for path in (tmp_path / "keys" / "offline").glob("targets-*.pem"):
        path.unlink()
    before = sorted((tmp_path / "keys").rglob("*.pem"))
    with pytest.raises(TrustError, match="too few keys to sign targets metadata"):
        reopened(tmp_path).rotate_role("students")
    assert sorted((tmp_path / "keys").rglob("*.pem")) == before


@pytest.mark.parametrize("keyid", ["", "abc", "0" * 64])
def test_an_unknown_key_is_said_to_be_unknown(repository, keyid):
    with pytest.raises(TrustError, match="no role names this key"):
        repository.revoke_key(keyid)


def test_an_unknown_role_is_answered_with_the_roles(repository):
    with pytest.raises(TrustError, match="Choose one of: root"):
        repository.rotate_key("director")


def test_keys_on_a_stick_and_in_the_environment_sign(repository, tmp_path, monkeypatch):
    one, two = keys_of(repository, "students")
    offline = tmp_path / "keys" / "offline"
    shutil.move(offline / f"students-{one[:12]}.pem", tmp_path / "stick.pem")
    secret = (offline / f"students-{two[:12]}.pem").read_text()
    (offline / f"students-{two[:12]}.pem").unlink()
    repository.place_key(one[:12], f"file:{tmp_path}/stick.pem")
    repository.place_key(two, "env:STUDENT_KEY")
    with pytest.raises(TrustError, match="too few keys to sign students metadata: 1 of 2"):
        reopened(tmp_path).publish(write_release(tmp_path / "r2", version="2"))
    monkeypatch.setenv("STUDENT_KEY", secret)
    after = reopened(tmp_path)
    after.publish(tmp_path / "r2")
    assert {place.place for place in after.key_places() if place.role == "students"} == {
        f"file:{tmp_path}/stick.pem",
        "env:STUDENT_KEY",
    }


@pytest.mark.parametrize(
    "uri", ["hsm:2", "gcpkms://x", "awskms:alias", "file:relative.pem", "env:", "/etc/key.pem", ""]
)
def test_other_places_for_keys_are_refused_by_name(repository, uri):
    with pytest.raises(InputError) as refused:
        repository.place_key(keys_of(repository, "root")[0], uri)
    assert str(refused.value.value) == (uri if uri.startswith(("file:", "env:", "/")) else f"{uri.partition(':')[0]}:")


def test_a_variable_that_holds_no_key_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("A_KEY", "open sesame")
    with pytest.raises(TrustError) as refused:
        key_at("env:A_KEY")
    assert "sesame" not in str(refused.value)


def test_damaged_places_are_refused(tmp_path):
    (tmp_path / "locations.json").write_text("[")
    with pytest.raises(InputError, match="places of the keys"):
        Locations.read(tmp_path / "locations.json")


def test_metadata_that_only_a_person_can_renew_is_announced_before_it_ends(tmp_path):
    clock = Clock()
    repository = new_repository(tmp_path, clock=clock)
    assert repository.ending_soon() == {}
    clock.pass_time(timedelta(days=80))
    assert list(repository.ending_soon()) == ["students", "teachers"]
    repository.renew_targets()
    assert repository.ending_soon() == {}
    clock.pass_time(timedelta(days=280))
    assert set(repository.ending_soon()) == {"root", "students", "teachers"}
    assert repository.renew_root() == 2
    assert "root" not in repository.ending_soon()


def test_expiries_are_listed_nearest_first(repository):
    ends = repository.expiries()
    assert next(iter(ends)) == "timestamp"
    assert set(ends) == set(ROLES)
    assert list(ends.values()) == sorted(ends.values())
