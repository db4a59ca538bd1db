"""A rollout from its first ring to its last: in the ledger, signed, stopped by its rules, whole after a restart."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from command_line import run_command
from eyebright_common.errors import InputError, ReleaseError, TrustError
from eyebright_common.release.rollout import Ring, decide, parse_rollout, rollout_numbers
from eyebright_common.trust import Role
from eyebright_common.wire import ShadowAgreement, UnitStatus, Verdicts
from eyebright_server.distribution import OperatorFolder
from eyebright_server.fleet import Fleet, rollout_history
from eyebright_server.records.models import ParticipantRow
from signed_network import Clock, folder_client, write_release

RINGS = (
    Ring(name="canary", kind="serve", share=0.3, wait_hours=24.0, least_patients=10),
    Ring(name="rest", kind="serve", share=0.7, wait_hours=0.0),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    with OperatorFolder.create(folder / "operator") as operator:
        for version in ("1", "2"):
            operator.repository.publish(write_release(folder / version, version=version))
    return folder / "operator"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "operator")
    return tmp_path / "operator"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def operator(folder: Path):
    with OperatorFolder.open(folder) as opened:
        yield opened


@pytest.fixture
def fleet(operator, clock) -> Fleet:
    return Fleet(operator.repository, operator.records, clock=clock)


def start(fleet: Fleet):
    return fleet.start("fundus", version="2", before="1", rings=RINGS, by="E. Kant")


def report(
    operator: OperatorFolder,
    clock: Clock,
    fleet: Fleet,
    *,
    units: int = 40,
    shadow: ShadowAgreement | None = None,
    **canary: object,
) -> None:
    """Let units report; those of the first ring run release 2, unseen when they tell how often it agreed."""
    rollout = fleet.current("fundus").rollout
    for name in (f"unit-{n}" for n in range(units)):
        inside = rollout.ring_of(name) == 0
        fields = {"refer": 30, "no_referral": 70, "ungradable": 5} | (canary if inside else {})
        status = UnitStatus(
            task="fundus",
            active_version="2" if inside and shadow is None else "1",
            state="up_to_date",
            golden_passed=True,
            verdicts=Verdicts(**fields),
            software="0.1.0",
            shadow=shadow if inside else None,
        )
        with operator.records.writing() as session:
            session.merge(
                ParticipantRow(
                    role=Role.UNIT.value,
                    name=name,
                    fingerprint=f"{name:0>64}",
                    previous_fingerprint=None,
                    certificate_pem="",
                    key_digest="0" * 64,
                    enrolled=clock(),
                    not_after=clock(),
                    revoked=None,
                )
            )
        operator.records.keep_report(name, status, now=clock())


def signed(operator: OperatorFolder, state: Path):
    """The rollout that a unit sees, fetched and verified as a unit does."""
    client = folder_client(operator.repository, state)
    client.refresh()
    numbers = rollout_numbers(client.names("rollouts/"), "fundus")
    path = state / "rollout.json"
    client.download_target(f"rollouts/fundus/{numbers[-1]}.json", path)
    return parse_rollout(path.read_bytes())


def test_a_unit_sees_the_rollout_that_was_started_and_decides_by_it(operator, fleet, tmp_path) -> None:
    begun = start(fleet).rollout
    seen = signed(operator, tmp_path / "unit")
    assert seen == begun
    answers = {decide(seen, ["1", "2"], unit=f"unit-{n}", active="1").serve for n in range(40)}
    assert answers == {"1", "2"}


def test_a_ring_opens_when_its_time_is_over_and_its_patients_were_seen(operator, fleet, clock) -> None:
    start(fleet)
    with pytest.raises(ReleaseError, match=r"watched for 24\.0 hours more; ring canary has seen 0 of 10 patients"):
        fleet.promote("fundus", by="E. Kant")
    report(operator, clock, fleet)
    clock.pass_time(timedelta(hours=24))
    assert fleet.promote("fundus", by="E. Kant").rollout.opened == 1
    assert fleet.promote("fundus", by="E. Kant").rollout.state == "done"
    with pytest.raises(ReleaseError, match="rollout is done"):
        fleet.promote("fundus", by="E. Kant")


def test_a_person_can_insist_and_the_ledger_says_why(operator, fleet) -> None:
    start(fleet)
    fleet.promote("fundus", by="E. Kant", insist="the canary clinic is closed this week")
    assert rollout_history(operator.records.ledger(), "fundus")[-1].reason == "the canary clinic is closed this week"


def test_a_referral_spike_stops_the_rollout_and_nothing_opens_after_that(operator, fleet, clock, tmp_path) -> None:
    start(fleet)
    report(operator, clock, fleet, refer=90, no_referral=10)
    seen, stopped = fleet.watch("fundus")
    assert [rate.name for rate in seen.outside] == ["referral_rate"]
    assert (stopped.step, stopped.by) == ("stopped", "watch")
    assert signed(operator, tmp_path / "unit").state == "paused"
    with pytest.raises(ReleaseError, match=r"paused.*Resume"):
        fleet.promote("fundus", by="E. Kant", insist="never mind")
    assert fleet.watch("fundus")[1] is None  # it is stopped once


def test_a_restart_changes_nothing(folder, operator, fleet, clock) -> None:
    start(fleet)
    before = fleet.current("fundus")
    operator.close()
    with OperatorFolder.open(folder) as again:
        after = Fleet(again.repository, again.records, clock=clock)
        assert after.current("fundus") == before
        after.promote("fundus", by="E. Kant", insist="goes on where it was")
        assert again.records.verify_ledger().entries >= 2


def test_without_the_offline_keys_nothing_opens_but_a_pause_holds(folder, operator, fleet, clock, tmp_path) -> None:
    start(fleet)
    (folder / "keys" / "offline").rename(tmp_path / "stick")
    with pytest.raises(TrustError):
        fleet.promote("fundus", by="E. Kant", insist="hurry")
    assert fleet.current("fundus").rollout.opened == 0
    state, is_signed = fleet.pause("fundus", by="E. Kant", reason="something is odd")
    assert (state.rollout.state, is_signed) == ("paused", False)
    (tmp_path / "stick").rename(folder / "keys" / "offline")
    fleet.sync("fundus")
    assert signed(operator, tmp_path / "unit").state == "paused"
    assert fleet.resume("fundus", by="E. Kant", reason="it was the lamp").rollout.state == "open"


def test_the_commands_say_that_a_pause_is_not_signed_and_sync_signs_it(
    folder, operator, fleet, clock, tmp_path, capsys
) -> None:
    start(fleet)
    report(operator, clock, fleet)
    operator.close()
    (folder / "keys" / "offline").rename(tmp_path / "stick")
    release = ("server", "release")
    code, out, _ = run_command(capsys, *release, "pause", folder, "fundus", "--reason", "something is odd")
    assert code == 0
    assert out.startswith("fundus 2: paused in ring canary.\nNot signed: ")
    code, _, error = run_command(capsys, *release, "sync", folder, "fundus")
    assert (code, error.count("\n")) == (4, 1)
    code, out, _ = run_command(capsys, *release, "status", folder, "fundus")
    assert code == 0
    assert "Not signed: " in out
    (tmp_path / "stick").rename(folder / "keys" / "offline")
    code, out, _ = run_command(capsys, *release, "sync", folder, "fundus")
    assert (code, "It is signed now" in out) == (0, True)
    code, out, _ = run_command(capsys, *release, "sync", folder, "fundus")
    assert (code, "It was signed already." in out) == (0, True)
    assert signed(operator, tmp_path / "unit").state == "paused"


def test_status_shows_what_holds_a_ring_and_how_often_the_shadow_agreed(folder, operator, fleet, clock, capsys) -> None:
    shadow = Ring(name="shadow", kind="shadow", share=0.5, wait_hours=24.0)
    fleet.start("fundus", version="2", before="1", rings=(shadow, *RINGS[:1]), by="E. Kant")
    told = ShadowAgreement(version="2", compared=10, agreed=9)
    report(operator, clock, fleet, shadow=told)
    units = sum(fleet.current("fundus").rollout.ring_of(f"unit-{n}") == 0 for n in range(40))
    code, out, _ = run_command(capsys, "server", "release", "status", folder, "fundus", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["shadow"] == {"units": units, "compared": 10 * units, "agreed": 9 * units}
    assert facts["held"] == ["ring shadow is watched for 24.0 hours more"]
    assert [one["step"] for one in facts["history"]] == ["started"]
    code, out, _ = run_command(capsys, "server", "release", "status", folder, "fundus")
    assert f"the same word on {9 * units} of {10 * units} visits (90.0%), {units} units." in out


def test_a_process_killed_between_ledger_and_signature_is_made_up_for(operator, fleet, monkeypatch, tmp_path) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(operator.repository, "add_target", killed)
    with pytest.raises(KeyboardInterrupt):
        start(fleet)
    monkeypatch.undo()
    assert start(fleet).rollout == signed(operator, tmp_path / "unit")


def test_a_second_rollout_waits_for_the_first(operator, fleet) -> None:
    start(fleet)
    with pytest.raises(ReleaseError, match="has not ended"):
        fleet.start("fundus", version="3", before="2", rings=RINGS, by="E. Kant")


def test_there_has_to_be_a_rollout(fleet) -> None:
    with pytest.raises(InputError, match="no rollout of this task: fundus"):
        fleet.promote("fundus", by="E. Kant")


def test_versions_that_cannot_follow_each_other_are_refused(fleet) -> None:
    with pytest.raises(ReleaseError, match="newer than the one before"):
        fleet.start("fundus", version="1", before="2", rings=RINGS, by="E. Kant")


def test_the_ledger_holds_no_name_of_a_patient_or_a_picture(operator, fleet, clock) -> None:
    start(fleet)
    report(operator, clock, fleet)
    fleet.watch("fundus")
    (entry,) = operator.records.ledger(kind="rollout-")
    assert set(json.loads(entry.payload)) == {"rollout", "by", "reason"}
