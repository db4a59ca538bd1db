"""The records, in a file and in PostgreSQL: one-time means once, revoked means out, the ledger tells what happened."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from eyebright_common.errors import EyebrightError, InputError, InvitationError, TrustError
from eyebright_common.trust import (
    CertificateAuthority,
    IssuedCertificate,
    Role,
    certificate_request,
    new_certificate_key,
    read_identity,
)
from eyebright_common.wire import UnitStatus
from eyebright_server.records import Records, ledger
from eyebright_server.records.database import engine_of
from eyebright_server.records.store import KEPT_REPORTS

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
KEY_A, KEY_B = "a" * 64, "b" * 64


@pytest.fixture
def records(records_place):
    with Records.open(records_place) as opened:
        yield opened


def changed_by_hand(where, statement: str) -> None:
    """What somebody with the rights of the database may do."""
    engine = engine_of(where)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return CertificateAuthority.create(tmp_path_factory.mktemp("ca"), now=NOW)


@pytest.fixture
def issue(authority):
    def sign(role: Role, name: str) -> IssuedCertificate:
        request = certificate_request(new_certificate_key(), role=role, name=name)
        return authority.sign_request(request, role=role, name=name, now=NOW)

    return sign


def invited(records: Records, token: str = "t", name: str = "unit-1", role: Role = Role.UNIT) -> None:
    records.invite(token_hash=token, role=role, name=name, now=NOW, expires=LATER)


def redeem(records: Records, issue, *, token: str = "t", key: str = KEY_A, now: datetime = NOW):
    return records.redeem(token_hash=token, key_digest=key, now=now, issue=issue)


def test_an_invitation_is_redeemed_once(records, issue):
    invited(records)
    assert redeem(records, issue)[0] == "unit-1"
    with pytest.raises(InvitationError):
        redeem(records, issue, key=KEY_B)


def test_the_same_key_gets_the_same_certificate_again(records, issue):
    invited(records)
    assert redeem(records, issue) == redeem(records, issue)


def test_an_unknown_invitation_is_refused(records, issue):
    with pytest.raises(InvitationError):
        redeem(records, issue)


def test_an_expired_invitation_is_refused(records, issue):
    invited(records)
    with pytest.raises(InvitationError):
        redeem(records, issue, now=LATER)


def test_an_expired_invitation_is_refused_even_to_the_key_that_used_it(records, issue):
    invited(records)
    redeem(records, issue)
    with pytest.raises(InvitationError):
        redeem(records, issue, now=LATER)


def test_a_failed_signature_leaves_the_invitation_unused(records, issue):
    def broken(role: Role, name: str) -> IssuedCertificate:
        raise TrustError("no")

    invited(records)
    with pytest.raises(TrustError):
        redeem(records, broken)
    assert redeem(records, issue)[0] == "unit-1"


def test_of_many_enrolments_at_the_same_moment_one_gets_in(records_place, issue):
    with Records.open(records_place) as first:
        invited(first)
    crowd = 8
    start = threading.Barrier(crowd)
    outcomes: list[str] = []

    def enrol(key: str) -> None:
        with Records.open(records_place) as own:
            start.wait()
            try:
                redeem(own, issue, key=key)
                outcomes.append("in")
            except InvitationError:
                outcomes.append("out")

    threads = [threading.Thread(target=enrol, args=(str(i) * 64,)) for i in range(crowd)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in"] + ["out"] * (crowd - 1)


def at_once(works) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_writers_of_the_ledger_at_the_same_moment_make_one_chain(records):
    at_once([lambda n=n: records.append("x", {"n": n}, now=NOW) for n in range(12)])
    assert records.verify_ledger().entries == 12
    assert sorted(e.facts["n"] for e in records.ledger()) == list(range(12))


def test_what_a_writer_has_read_stays_so_until_it_has_written(records):
    """As a hospital's number is given: by counting those that have one."""

    def give_a_number() -> None:
        with records.writing() as session:
            ledger.append(session, "numbered", {"number": len(ledger.read(session))}, now=NOW)

    at_once([give_a_number] * 8)
    assert [entry.facts["number"] for entry in records.ledger()] == list(range(8))


def test_records_that_many_open_at_once_are_made_once(records_place):
    def open_and_write() -> None:
        with Records.open(records_place) as own:
            own.append("x", {}, now=NOW)

    at_once([open_and_write] * 6)
    with Records.open(records_place) as records:
        assert records.verify_ledger().entries == 6


@pytest.fixture
def unit(records, issue):
    """An enrolled unit's identity, as its certificate tells it."""
    invited(records)
    return read_identity(redeem(records, issue)[1])


def test_an_enrolled_unit_is_let_through(records, unit):
    records.authorise(unit, role=Role.UNIT, now=NOW)


def test_wrong_role_is_refused(records, unit):
    with pytest.raises(TrustError, match="for a hospital"):
        records.authorise(unit, role=Role.HOSPITAL, now=NOW)


def test_revoked_unit_is_refused(records, unit):
    records.revoke("unit-1", now=NOW)
    with pytest.raises(TrustError, match="revoked"):
        records.authorise(unit, role=Role.UNIT, now=NOW)


def test_ended_certificate_is_refused(records, unit):
    with pytest.raises(TrustError, match="ended"):
        records.authorise(unit, role=Role.UNIT, now=unit.not_after)


def test_a_certificate_nobody_enrolled_with_is_refused(records, unit, issue):
    with pytest.raises(TrustError, match="not in force"):
        records.authorise(issue(Role.UNIT, "unit-1").identity, role=Role.UNIT, now=NOW)
    with pytest.raises(TrustError, match="not in force"):
        records.authorise(issue(Role.UNIT, "unit-2").identity, role=Role.UNIT, now=NOW)


def test_enrolling_again_under_a_name_ends_the_old_certificate(records, unit, issue):
    invited(records, token="second")
    redeem(records, issue, token="second", key=KEY_B)
    with pytest.raises(TrustError, match="not in force"):
        records.authorise(unit, role=Role.UNIT, now=NOW)


def test_revoking_withdraws_open_invitations_of_that_name(records, unit, issue):
    invited(records, token="open")
    records.revoke("unit-1", now=NOW)
    with pytest.raises(InvitationError):
        redeem(records, issue, token="open", key=KEY_B)


def test_a_revoked_unit_does_not_get_its_certificate_again(records, unit, issue):
    records.revoke("unit-1", now=NOW)
    with pytest.raises(InvitationError):
        redeem(records, issue)


def test_revoking_somebody_unknown_says_so(records):
    with pytest.raises(InputError, match="no unit has enrolled"):
        records.revoke("nobody", now=NOW)


def test_renewal_keeps_the_certificate_in_hand_until_the_new_one_is_used(records, unit, issue):
    records.renew(unit, key_digest=KEY_A, now=NOW, issue=issue)
    records.authorise(unit, role=Role.UNIT, now=NOW)  # the answer got lost: the unit still has the old one
    records.renew(unit, key_digest=KEY_A, now=NOW, issue=issue)
    records.authorise(unit, role=Role.UNIT, now=NOW)


def test_renewal_with_another_key_is_refused(records, unit, issue):
    with pytest.raises(TrustError, match="enrolled key"):
        records.renew(unit, key_digest=KEY_B, now=NOW, issue=issue)


def test_a_hospital_and_a_unit_may_share_a_name(records, unit, issue):
    invited(records, token="h", role=Role.HOSPITAL)
    redeem(records, issue, token="h", key=KEY_B)
    assert [(p.role, p.name) for p in records.participants()] == [("hospital", "unit-1"), ("unit", "unit-1")]
    records.authorise(unit, role=Role.UNIT, now=NOW)


def test_the_ledger_tells_the_story_in_order(records, unit, issue):
    records.renew(unit, key_digest=KEY_A, now=NOW, issue=issue)
    records.revoke("unit-1", now=NOW)
    assert [e.kind for e in records.ledger()] == [
        "invitation-made",
        "participant-enrolled",
        "certificate-renewed",
        "participant-revoked",
    ]
    assert [e.kind for e in records.ledger(after=3)] == ["participant-revoked"]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE ledger SET payload = '{}' WHERE seq = 3", "entry 3 .*its content was changed"),
        ("DELETE FROM ledger WHERE seq = 2", "entry 3 .*entry 2 is missing"),
    ],
)
def test_a_ledger_row_changed_in_the_database_is_named(records, records_place, statement, named):
    for n in range(4):
        records.append("round-closed", {"round": n}, now=NOW)
    changed_by_hand(records_place, statement)
    with pytest.raises(TrustError, match=f"broken at {named}"):
        records.verify_ledger()


def test_a_transaction_that_fails_leaves_nothing_behind(records):
    with pytest.raises(ValueError, match="half-way"), records.writing() as session:
        ledger.append(session, "x", {}, now=NOW)
        raise ValueError("half-way")
    assert records.ledger() == []


def test_a_number_json_does_not_know_is_not_written(records):
    with pytest.raises(ValueError, match="JSON"):
        records.append("x", {"loss": float("nan")}, now=NOW)
    assert records.verify_ledger().entries == 0


def test_the_newest_reports_of_each_unit_are_kept(records):
    for n in range(KEPT_REPORTS + 5):
        records.keep_report("a", UnitStatus(state="idle", software="1", screened=n), now=NOW)
    records.keep_report("b", UnitStatus(state="idle", software="1"), now=NOW)
    assert [r.screened for r in records.reports("a")] == list(range(5, KEPT_REPORTS + 5))
    assert len(records.reports("b")) == 1


def test_records_are_there_after_a_restart(records_place, records, unit):
    records.close()
    with Records.open(records_place) as again:
        again.authorise(unit, role=Role.UNIT, now=NOW)


def test_records_of_another_version_are_refused(records_place, records):
    changed_by_hand(records_place, "UPDATE schema_version SET version = 99")
    with pytest.raises(EyebrightError, match="another version"):
        Records.open(records_place)


def test_a_file_that_is_no_database_is_refused_in_words(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be looked at as one\n" * 20)
    with pytest.raises(EyebrightError, match="cannot be opened"):
        Records.open(tmp_path / "notes.txt")
