"""Disks that are full, read-only or lie: the update stops where it is, screening goes on, the notice says why."""

import errno
import shutil
from pathlib import Path

import pytest

from edge_unit import EdgeUnit
from eyebright_common import durable
from eyebright_common.errors import EyebrightError
from eyebright_common.release import MODEL_FILE, RELEASE_FILE
from eyebright_edge.agent import notices, steps
from eyebright_edge.agent.notices import unit_notices
from eyebright_edge.agent.receipt import read_receipt, verified_receipt
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update_record import Ending, read_record
from tiny_release import write_tiny_release


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    made = EdgeUnit(tmp_path)
    made.install("1")
    made.releases.publish("2")
    return made


class FailingDisk:
    """Every fsync fails after so many that go well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        self._real = durable.os.fsync
        self._code = code
        self.left = 10**9
        monkeypatch.setattr(durable.os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        if self.left <= 0:
            raise OSError(self._code, {errno.ENOSPC: "No space left on device", errno.EIO: "I/O error"}[self._code])
        self.left -= 1
        self._real(descriptor)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_at_any_write_of_an_update_leaves_a_proven_release(
    unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch, code: int, tmp_path: Path
) -> None:
    home, disk = unit.home, FailingDisk(monkeypatch, code)
    for goes_well in range(60):
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
        shutil.copytree(home.root, tmp_path / "again")
        unit.home = type(home)(tmp_path / "again")
        disk.left = goes_well
        result = unit.agent().update()
        disk.left = 10**9
        serving = unit.home.serving()
        assert (serving.release.version, serving.notice) in (("1", ""), ("2", "")), goes_well
        if result.ending is Ending.INSTALLED:
            break
        for _ in range(2):
            unit.agent().update()
        assert unit.home.active_version() == "2", goes_well
    assert goes_well > 10


def test_what_was_fetched_makes_room_for_visits_when_the_disk_is_full(
    unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(monkeypatch, errno.ENOSPC)

    def fill(state: State, moment: object) -> None:
        if state is State.VERIFY:
            disk.left = 0

    result = unit.agent(fill).update()
    assert (result.ending, result.active) == (Ending.FAILED, "1")
    assert "cannot be recorded" in result.reason
    assert "No space left on device" in result.reason
    assert not unit.home.downloads.exists()


def test_without_room_nothing_is_fetched(unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    unit.releases.fetched.clear()
    nearly_full = shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6)
    for room in (steps, notices):
        monkeypatch.setattr(room.shutil, "disk_usage", lambda path: nearly_full)
    result = unit.agent().update()
    assert (result.ending, result.active, unit.releases.fetched) == (Ending.FAILED, "1", [])
    assert "no room" in result.reason
    assert any("nearly full" in notice for notice in unit_notices(unit.home, now=unit.now))


def test_a_home_that_cannot_be_written_serves_and_says_so(unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = Path.open

    def read_only(path: Path, mode: str = "r", *more: object, **how: object) -> object:
        if path.is_relative_to(unit.home.root) and set(mode) & set("wa+"):
            raise OSError(errno.EROFS, "Read-only file system")
        return real_open(path, mode, *more, **how)

    monkeypatch.setattr(Path, "open", read_only)
    monkeypatch.setattr(notices.os, "access", lambda path, mode: False)
    with pytest.raises(EyebrightError, match="Read-only file system"):
        unit.agent().update()
    with unit.home.visiting():
        assert unit.home.serving().release.version == "1"
    assert any("cannot be written" in notice for notice in unit_notices(unit.home, now=unit.now))


def test_a_release_that_was_exchanged_on_the_disk_does_not_serve(unit: EdgeUnit) -> None:
    unit.agent().update()
    write_tiny_release(unit.home.release_folder("2"), version="2", bias=(9.0, 0.0, 0.0, 0.0))
    serving = unit.home.serving()
    assert serving.release.version == "1"
    assert "Release 2 is damaged" in serving.notice


def test_a_receipt_that_another_key_signed_is_as_good_as_none(unit: EdgeUnit, tmp_path: Path) -> None:
    other = EdgeUnit(tmp_path / "other")
    other.install("1")
    for name in ("receipt.json", "receipt.copy.json"):
        shutil.copyfile(other.home.root / name, unit.home.root / name)
    assert verified_receipt(unit.home) is None
    serving = unit.home.serving()
    assert serving.release.version == "1"
    assert "receipt of this unit is damaged" in serving.notice


def test_a_lost_receipt_is_made_again_by_proving_the_signed_release_again(unit: EdgeUnit) -> None:
    unit.agent().update()
    for name in ("receipt.json", "receipt.copy.json"):
        (unit.home.root / name).write_bytes(b"\x00" * 200)
    unit.releases.fetched.clear()
    assert unit.agent().update().ending is Ending.INSTALLED
    assert unit.releases.fetched == []
    receipt = read_receipt(unit.home)
    assert receipt.active is not None
    assert receipt.previous is not None
    assert receipt.active.proof is not None
    assert (receipt.active.version, receipt.previous.version) == ("2", "1")
    assert unit.home.serving().notice == ""


def test_whatever_lies_among_the_releases_never_serves_by_itself(unit: EdgeUnit) -> None:
    write_tiny_release(unit.home.release_folder("9"), version="9")
    unit.home.active_file.write_bytes(b"")
    assert unit.home.serving().release.version == "1"
    unit.home.active_file.write_bytes(b"9\n")
    assert unit.home.serving().release.version == "1"


def test_a_download_of_which_the_end_is_missing_is_not_half_installed(unit: EdgeUnit) -> None:
    def cut(state: State, moment: object) -> None:
        if state is State.PROVE:
            model = unit.home.downloads / "2" / MODEL_FILE
            if model.exists():
                model.write_bytes(model.read_bytes()[:-100])

    assert unit.agent(cut).update().active == "1"
    assert read_record(unit.home).state is State.IDLE
    assert not (unit.home.release_folder("2") / RELEASE_FILE).exists()
    assert unit.agent().update(retry=True).active == "2"
