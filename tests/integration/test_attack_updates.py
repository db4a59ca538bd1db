"""Attacks on updates, each by its name in the update framework's list, against a whole unit over every transport.

What must hold after each: nothing that the operator did not sign was accepted, the unit screens as before, and once the
attacker is gone the unit takes the genuine release without anybody's help.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from tuf.api.metadata import TargetFile, Targets
from tuf.ngclient._internal import trusted_metadata_set

from attacked_network import TRANSPORTS, Scene, Thief, make_template, scene_with
from eyebright_common.errors import MetadataExpired, TargetRejected, TrustError, WireError
from eyebright_server.release.signed_metadata import Expiries
from signed_network import new_repository
from tiny_release import write_tiny_release

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(params=TRANSPORTS)
def scene(request: pytest.FixtureRequest, template: Path, tmp_path: Path) -> Iterator[Scene]:
    with scene_with(request.param, template, tmp_path) as made:
        yield made


def refused(scene: Scene, *kinds: type[Exception], still: str = "1") -> str:
    """Let the unit try an update that must fail; return why it says so."""
    scene.touch()
    result = scene.update()
    assert result.active == still, result
    assert isinstance(result.error, kinds or (TrustError,)), result
    assert scene.works_with() == still
    return str(result.error)


def recovers(scene: Scene, *, to: str = "2") -> None:
    """Serve the truth again: the unit takes it by itself."""
    if to == "2" and "2" not in {release.version for release in scene.honest.releases()}:
        scene.publish_two()
    scene.show_honest()
    result = scene.update()
    assert (result.active, scene.works_with()) == (to, to), result


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def add_release(thief: Thief, version: str, source: Path, **note: object) -> Callable[[Targets], None]:
    """Return a change that lists a release, and put its files where they would be served."""

    def change(targets: Targets) -> None:
        prefix = f"releases/fundus/{version}"
        for path in sorted(source.iterdir()):
            target = TargetFile.from_file(f"{prefix}/{path.name}", str(path), ["sha256"])
            if path.name == "release.json":
                said = {"task": "fundus", "version": version, "files": [p.name for p in source.iterdir()], **note}
                target.unrecognized_fields["custom"] = {"release": said}
            targets.targets[target.path] = target
            place = thief.targets / target.get_prefixed_paths()[0]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)

    return change


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    write_tiny_release(tmp_path / "evil", version="9")
    return tmp_path / "evil"


def test_rollback(scene):
    shutil.copytree(scene.mirror, scene.folder / "old")
    recovers(scene)  # the unit has seen release 2
    shutil.rmtree(scene.mirror / "metadata")
    shutil.copytree(scene.folder / "old" / "metadata", scene.mirror / "metadata")
    assert "BadVersionNumberError" in refused(scene, still="2")
    scene.show_honest()
    assert scene.update().error is None


def test_freeze(scene):
    scene.clock.pass_time(-Expiries().timestamp - timedelta(hours=1))
    scene.honest.renew_online()
    scene.show_honest()
    scene.clock.pass_time(Expiries().timestamp + timedelta(hours=1))
    refused(scene, MetadataExpired)
    recovers(scene)


def test_fast_forward_and_its_cure_by_rotation(scene):
    Thief(scene, "snapshot", "timestamp").sign_online(version=2_000_000_000)
    scene.touch()
    assert scene.update().error is None  # validly signed, and brings nothing
    assert scene.works_with() == "1"
    scene.publish_two()
    scene.show_honest()
    assert "BadVersionNumberError" in refused(scene)
    scene.honest.rotate_online_keys()
    recovers(scene)


def test_mix_and_match(scene):
    old = (scene.mirror / "metadata" / "1.students.json").read_bytes()
    scene.publish_two()
    scene.show_honest()
    newest = sorted((scene.mirror / "metadata").glob("*.students.json"))[-1]
    newest.write_bytes(old)
    refused(scene)
    recovers(scene)


def test_arbitrary_software(scene, evil):
    thief = Thief(scene)
    thief.forge("students", add_release(thief, "9", evil))  # no key, no signature
    refused(scene)
    scene.publish_two()
    scene.show_honest()
    for path in (scene.mirror / "targets" / "releases" / "fundus" / "2").glob("*.model.onnx"):
        shutil.copyfile(evil / "model.onnx", path)
        flip(path, 100)  # of another opinion
    refused(scene, TargetRejected)
    recovers(scene)


@pytest.mark.parametrize("file", ["timestamp.json", "snapshot.json", "students.json", "model.onnx"])
def test_endless_data(scene, file):
    scene.publish_two()
    scene.show_honest()
    scene.touch()
    path = sorted(scene.mirror.rglob(f"*{file}"), key=lambda p: p.stat().st_mtime)[-1]
    if file == "model.onnx":
        (path,) = (scene.mirror / "targets" / "releases" / "fundus" / "2").glob("*.model.onnx")
    signed_length = path.stat().st_size
    with path.open("r+b") as grown:
        grown.truncate(64 * 1024 * 1024)
    refused(scene, TrustError, WireError)
    kept = [p.stat().st_size for p in scene.home.root.rglob("*") if p.is_file()]
    assert max(kept) <= signed_length + 2 * 256 * 1024
    recovers(scene)


def test_wrong_key(scene, tmp_path):
    stranger = new_repository(tmp_path / "stranger")
    write_tiny_release(tmp_path / "of-a-stranger", version="9")
    stranger.publish(tmp_path / "of-a-stranger")
    stranger.renew_online()
    for part in ("metadata", "targets"):
        shutil.copytree(stranger.folder / part, scene.mirror / part, dirs_exist_ok=True)
    assert "UnsignedMetadataError" in refused(scene)
    recovers(scene)


def test_below_threshold_signatures(scene, evil):
    thief = Thief(scene, "students", "snapshot", "timestamp", at_most=1)
    thief.forge("students", add_release(thief, "9", evil))
    assert "UnsignedMetadataError" in refused(scene)
    # The thief's snapshot was valid, so its numbers are taken; new online keys are what the guide prescribes.
    scene.honest.rotate_online_keys()
    recovers(scene)


def test_the_same_signature_twice_does_not_make_two(scene, evil):
    thief = Thief(scene, "students", "snapshot", "timestamp", at_most=1)
    thief.forge("students", add_release(thief, "9", evil))
    path = sorted((scene.mirror / "metadata").glob("*.students.json"))[-1]
    content = json.loads(path.read_bytes())
    content["signatures"].append({**content["signatures"][0], "keyid": content["signatures"][0]["keyid"].upper()})
    path.write_text(json.dumps(content))
    thief.sign_online({"students": int(path.name.split(".")[0])})
    refused(scene)


def test_key_compromise_and_rotation(scene, evil):
    thief = Thief(scene, "students", "snapshot", "timestamp")
    for role in ("students", "students", "timestamp", "snapshot"):  # both keys of the students, both online keys
        scene.honest.rotate_key(role, next(p.keyid for p in scene.honest.key_places() if p.role == role))
    scene.show_honest()
    assert scene.update().error is None  # the unit has followed
    thief.forge("students", add_release(thief, "9", evil))
    assert "UnsignedMetadataError" in refused(scene)
    recovers(scene)


@pytest.mark.parametrize("role", ["students", "targets"])
def test_wrong_role_teachers_keys_sign_for_others(scene, evil, role):
    thief = Thief(scene, "teachers", "snapshot", "timestamp")
    thief.forge(role, add_release(thief, "9", evil), by="teachers")
    assert "UnsignedMetadataError" in refused(scene)


def test_wrong_role_a_student_among_the_teachers_is_not_seen(scene, evil):
    thief = Thief(scene, "teachers", "snapshot", "timestamp")
    thief.forge("teachers", add_release(thief, "9", evil))
    scene.touch()
    assert scene.update().error is None
    assert scene.works_with() == "1"
    assert [release.version for release in scene.updates().available("fundus")] == ["1"]


def test_wrong_role_online_keys_do_not_sign_each_other(scene):
    thief = Thief(scene, "snapshot")
    thief.keys["timestamp"] = thief.keys["snapshot"]
    thief.sign_online()
    assert "UnsignedMetadataError" in refused(scene)
    recovers(scene)


@pytest.mark.parametrize("name", ["../../../escaped", "/tmp/escaped", "..", "a/../../b", "x\x00y", ".hidden"])
def test_path_traversal_in_a_signed_description(scene, evil, name):
    # Even with every key of the students: a description never reaches outside the release's folder.
    thief = Thief(scene, "students", "snapshot", "timestamp")
    thief.forge("students", add_release(thief, "9", evil, files=["release.json", name]))
    before = set(scene.folder.rglob("*escaped*"))
    refused(scene)
    assert set(scene.folder.rglob("*escaped*")) == before
    assert not Path("/tmp/escaped").exists()


def test_path_traversal_in_the_name_of_a_target(scene):
    thief = Thief(scene, "students", "snapshot", "timestamp")

    def change(targets: Targets) -> None:
        name = "releases/fundus/../../../../escaped"
        targets.targets[name] = TargetFile.from_data(name, b"boo", ["sha256"])

    thief.forge("students", change)
    scene.touch()
    assert scene.update().error is None  # it is no release, so nobody asks for it
    assert scene.works_with() == "1"
    assert not list(scene.folder.rglob("*escaped*"))


@pytest.mark.parametrize("what", ["model.onnx", "timestamp.json"])
def test_symlink_in_an_exported_repository(scene, what):
    scene.publish_two()
    scene.show_honest()
    secret = scene.folder / "secret"
    secret.write_text("the key of the operator" * 100)
    path = scene.mirror / "metadata" / what
    if what == "model.onnx":
        (path,) = (scene.mirror / "targets" / "releases" / "fundus" / "2").glob(f"*.{what}")
    path.unlink()
    path.symlink_to(secret)
    (scene.mirror / "metadata" / "99.root.json").touch()
    refused(scene, TrustError, WireError)
    assert not any(b"key of the operator" in p.read_bytes() for p in scene.home.root.rglob("*") if p.is_file())
    recovers(scene)


def test_flipped_byte_at_every_metadata_and_target_file(scene):
    scene.publish_two()
    scene.show_honest()
    served = [path for path in sorted(scene.mirror.rglob("*")) if path.is_file() and path.name != ".lock"]
    refusals = 0
    for path in served:
        good = path.read_bytes()
        for position in (len(good) // 7, len(good) // 2, len(good) - 2):
            flip(path, position)
            scene.touch()
            updates = scene.updates()
            try:
                updates.refresh()
                folder = updates.download_release("fundus", "2", scene.folder / "slot")
                # Not everything is asked for (old versions, teachers): what came must be what was signed.
                assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
                    p.name: p.read_bytes() for p in (scene.folder / "r2").iterdir()
                }
                shutil.rmtree(folder)
            except (TrustError, WireError):
                refusals += 1
            path.write_bytes(good)
            shutil.rmtree(scene.folder / ".slot.partial", ignore_errors=True)
            for kept in scene.home.metadata.glob("*.json"):  # as on the first day: nothing may come from what is kept
                kept.unlink()
        assert scene.works_with() == "1"
    # timestamp, snapshot, targets, students and every file of release 2, at every position
    assert refusals >= 3 * (4 + len(list((scene.folder / "r2").iterdir())))
    recovers(scene)


@pytest.fixture
def unit_clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Set the clock by which the unit judges; python-tuf reads the machine's."""
    shift = SimpleNamespace(by=timedelta(0))

    class Shifted(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + shift.by

    stand_in = SimpleNamespace(datetime=Shifted, timezone=SimpleNamespace(utc=UTC))
    monkeypatch.setattr(trusted_metadata_set, "datetime", stand_in)
    return shift


@pytest.mark.parametrize("days", [2, 400, 20_000])
def test_clock_set_forwards(scene, unit_clock, days):
    scene.publish_two()
    scene.show_honest()
    unit_clock.by = timedelta(days=days)
    refused(scene, MetadataExpired)
    unit_clock.by = timedelta(0)
    recovers(scene)


@pytest.mark.parametrize("days", [2, 400, 20_000])
def test_clock_set_backwards(scene, unit_clock, days):
    unit_clock.by = -timedelta(days=days)
    assert (scene.update().error, scene.works_with()) == (None, "1")
    shutil.copytree(scene.mirror / "metadata", scene.folder / "old")
    recovers(scene)  # genuine and newest: a clock that is behind keeps nobody from it
    shutil.rmtree(scene.mirror / "metadata")
    shutil.copytree(scene.folder / "old", scene.mirror / "metadata")
    assert "BadVersionNumberError" in refused(scene, still="2")  # and opens no way back


def test_clock_set_backwards_does_not_bring_dead_metadata_to_life(scene, unit_clock):
    lasted = Expiries().delegated
    scene.clock.pass_time(-lasted - timedelta(days=1))
    scene.publish_two()  # its list of students ended yesterday
    scene.clock.pass_time(lasted + timedelta(days=1))
    scene.honest.renew_online()  # by a server, or a thief, that has only the online keys
    scene.show_honest()
    unit_clock.by = -timedelta(days=400)
    refused(scene, MetadataExpired)
    scene.honest.renew_targets()
    recovers(scene)
