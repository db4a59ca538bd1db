"""What the kiosk keeps is noise on the disk from the first moment to whoever has no PIN; and nothing is lost by it."""

import hashlib
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from command_line import exit_code
from eyebright_common.errors import InputError
from eyebright_common.release import Verdict
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.kiosk.settings import KioskSettings
from eyebright_edge.kiosk.technicians import TECHNICIANS_FILE, Technicians
from eyebright_edge.records import Journal, VisitJournal
from eyebright_edge.records.unit_records import UnitRecords
from eyebright_edge.records.vault import vault_items, visit_item
from eyebright_edge.records.vault_retention import expire
from kiosk_client import NAME, PIN, Clock, begin, client_of, give, kiosk_of, staffed_home, unlock, words_of
from page_client import TestClient
from visit_desk import IN_SCOPE, NOON, desk_at, good_picture, planted

CODE, FILE = "P-0042-ZEBRA", "family-name-of-zebra.png"
SECOND, SECOND_PIN = "Technician 2", "926314"
OPEN_TODAY = "Technician 1 is working"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def home(tmp_path: Path) -> UnitHome:
    return staffed_home(tmp_path)


def held(client: TestClient, **how: str) -> str:
    """Hold a whole visit and return its address."""
    where = begin(client, patient=CODE, **how)
    for seed, eye in enumerate("RL"):
        give(client, where, eye, good_picture(seed), name=FILE)
    return where


def secrets_of_a_visit() -> tuple[str | bytes, ...]:
    middle = [good_picture(seed)[len(good_picture(seed)) // 2 :][:64] for seed in (0, 1)]
    return (CODE, FILE, "zebra", '"age":"54"', "diabetes", *middle, good_picture(0)[:64], PIN)


def test_after_a_visit_no_byte_on_the_unit_tells_of_the_patient(home: UnitHome, clock: Clock) -> None:
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    saved = home.root / "inbox" / FILE
    where = begin(client, patient=CODE)
    saved.write_bytes(good_picture(0))
    assert planted(home, good_picture(0)[:64]) == [str(saved)]  # the search finds what is there to be found
    client.get(f"{where}/waiting")
    clock.now += 2
    (key,) = set(re.findall(r'name="inbox" value="([0-9a-f]+)"', client.get(f"{where}/waiting").text))
    client.post(f"{where}/picture", data={"eye": "R", "inbox": key})
    assert planted(home, *secrets_of_a_visit()) == []
    assert "NO REFERRAL" in give(client, where, "L", good_picture(1), name=FILE)
    client.post(f"{where}/report.pdf")
    begin(client, patient=CODE, symptoms="yes")
    assert planted(home, *secrets_of_a_visit(), "symptoms") == []
    assert CODE in client.get("/history").text


def test_a_picture_from_the_browser_is_never_laid_down_in_the_open(
    home: UnitHome, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_files(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was made")

    client = client_of(kiosk_of(home, clock))
    unlock(client)
    where = begin(client)
    monkeypatch.setattr("tempfile.TemporaryFile", no_files)
    page = give(client, where, "R", good_picture(0) + bytes(3 << 20))
    assert "the picture is good enough" in page


def test_locking_forgets_the_key_and_a_pin_brings_everything_back(home: UnitHome, clock: Clock) -> None:
    kiosk = kiosk_of(home, clock)
    client = client_of(kiosk)
    unlock(client)
    where = held(client)
    vault = kiosk.records.opened().vault
    client.post("/lock")
    assert (kiosk.records.is_open, vault.closed) == (False, True)
    for refused in (kiosk.desk.visits, lambda: kiosk.records.pictures.get(1, "0" * 64), lambda: vault.name_for("x")):
        with pytest.raises(InputError, match="locked"):
            refused()
    assert "NO REFERRAL" in unlock(client, next=where)
    assert client.get(re.findall(rf'src="({where}/thumbnail/[0-9a-f]+)"', client.get(where).text)[0]).status_code == 200


def test_a_screen_that_everybody_left_forgets_the_key_without_being_asked(home: UnitHome, clock: Clock) -> None:
    kiosk = kiosk_of(home, clock)
    unlock(client_of(kiosk))
    kiosk.logins.end_idle()
    assert kiosk.records.is_open
    clock.now += 301
    kiosk.logins.end_idle()
    assert not kiosk.records.is_open


def test_two_screens_and_the_last_one_locks(home: UnitHome, clock: Clock) -> None:
    kiosk = kiosk_of(home, clock)
    screens = [client_of(kiosk), client_of(kiosk)]
    for screen in screens:
        unlock(screen)
    screens[0].post("/lock")
    assert OPEN_TODAY in words_of(screens[1].get("/").text)
    screens[1].post("/lock")
    assert not kiosk.records.is_open


def test_a_second_technician_is_let_in_once_by_the_first(home: UnitHome, clock: Clock) -> None:
    Technicians(home.root).set_pin(SECOND, SECOND_PIN)
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    where = held(client)
    client.post("/lock")
    assert "does not open the records yet" in unlock(client, SECOND, SECOND_PIN)
    wrong = unlock(client, SECOND, SECOND_PIN, colleague=NAME, colleague_pin="000000")
    assert "That PIN does not open the records. Tries left before a pause: 4" in words_of(wrong)
    assert "NO REFERRAL" in unlock(client, SECOND, SECOND_PIN, colleague=NAME, colleague_pin=PIN, next=where)
    again = client_of(kiosk_of(home, clock))
    assert "NO REFERRAL" in unlock(again, SECOND, SECOND_PIN, next=where)


def test_guessing_a_colleagues_pin_costs_time(home: UnitHome, clock: Clock) -> None:
    Technicians(home.root).set_pin(SECOND, SECOND_PIN)
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    client.post("/lock")
    for _ in range(5):
        unlock(client, SECOND, SECOND_PIN, colleague=NAME, colleague_pin="000000")
    assert "Too many wrong PINs" in unlock(client, SECOND, SECOND_PIN, colleague=NAME, colleague_pin=PIN)


def test_a_changed_pin_is_let_in_by_the_one_before(home: UnitHome, clock: Clock) -> None:
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    where = held(client)
    client.post("/lock")
    Technicians(home.root).set_pin(NAME, "805173")
    assert "does not open the records yet" in unlock(client, pin="805173")
    assert "NO REFERRAL" in unlock(client, pin="805173", colleague=NAME, colleague_pin=PIN, next=where)
    client.post("/lock")
    assert OPEN_TODAY in words_of(unlock(client, pin="805173"))


def test_who_leaves_the_unit_opens_its_records_no_longer_and_the_last_one_stays(home: UnitHome, clock: Clock) -> None:
    Technicians(home.root).set_pin(SECOND, SECOND_PIN)
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    client.post("/lock")
    unlock(client, SECOND, SECOND_PIN, colleague=NAME, colleague_pin=PIN)
    Technicians(home.root).remove(SECOND)
    assert kiosk_of(home, clock).records.openers() == (NAME,)
    with pytest.raises(InputError, match="last key"):
        Technicians(home.root).remove(NAME)


def test_with_a_key_file_the_records_open_when_the_unit_starts(home: UnitHome, clock: Clock, tmp_path: Path) -> None:
    settings = KioskSettings(records_key=tmp_path / "stick" / "unit.key")
    (tmp_path / "stick").mkdir()
    client = client_of(kiosk_of(home, clock, settings))
    unlock(client)
    where = held(client)
    assert planted(home, *secrets_of_a_visit()) == []
    restarted = kiosk_of(home, clock, settings)
    assert restarted.records.open_unattended()
    assert restarted.desk.visit(1).about["patient"] == CODE
    # Without the stick the technician's PIN does.
    (tmp_path / "stick").rename(tmp_path / "drawer")
    later = client_of(kiosk_of(home, clock, settings))
    assert "NO REFERRAL" in unlock(later, next=where)


def test_records_that_a_key_file_alone_opens_say_what_to_do(home: UnitHome, clock: Clock, tmp_path: Path) -> None:
    key = tmp_path / "unit.key"
    assert exit_code("edge", "records", "create", "--home", home.root, "--name", "stick", "--key-file", key) == 0
    assert "only a key file opens them" in unlock(client_of(kiosk_of(home, clock)))
    named = kiosk_of(home, clock, KioskSettings(records_key=key))
    assert OPEN_TODAY in words_of(unlock(client_of(named)))
    assert named.records.openers() == (NAME,)


def test_a_key_file_is_not_made_where_no_stick_is_plugged_in(home: UnitHome, clock: Clock, tmp_path: Path) -> None:
    kiosk = kiosk_of(home, clock, KioskSettings(records_key=tmp_path / "stick" / "unit.key"))
    assert not kiosk.records.open_unattended()
    assert OPEN_TODAY in words_of(unlock(client_of(kiosk)))
    assert not (tmp_path / "stick").exists()


def write_open_records(home: UnitHome) -> dict[str, bytes]:
    """Write what a unit kept before there was a vault: two visits, one of them unfinished."""
    journal = VisitJournal(home.visits_file, lambda: NOON - timedelta(days=3))
    kept = {}
    for seed, patient in enumerate((CODE, f"{CODE}-2")):
        number = journal.open(release="1", patient=patient, technician=NAME, camera="Handheld A")
        journal.answer_checklist(number, IN_SCOPE)
        picture = good_picture(seed)
        digest = hashlib.sha256(picture).hexdigest()
        file = home.root / "pictures" / f"{number:06d}" / digest
        file.parent.mkdir(parents=True)
        file.write_bytes(picture)
        journal.receive(number, {"eye": "R", "sha256": digest, "name": FILE})
        kept[digest] = picture
    journal.close(1, {"verdict": "REFER", "reasons": []})
    return kept


def test_a_unit_that_kept_open_records_seals_them_and_loses_nothing(home: UnitHome, clock: Clock) -> None:
    kept = write_open_records(home)
    before = VisitJournal(home.visits_file).visits()
    half = home.root / "pictures" / "000001" / ".x.1-2.part"
    half.write_bytes(good_picture(0)[:100])
    kiosk = kiosk_of(home, clock)
    client = client_of(kiosk)
    unlock(client)
    assert kiosk.records.open_leftovers() == 7 + 2
    assert "9 earlier entries are not encrypted yet" in words_of(client.get("/unit").text)
    assert CODE in client.get("/history").text
    kiosk.records.seal_leftovers()
    assert kiosk.records.open_leftovers() == 0
    assert planted(home, *secrets_of_a_visit()) == []
    assert not (home.root / "pictures").exists()
    assert kiosk.desk.visits() == before
    for number, (digest, picture) in enumerate(kept.items(), start=1):
        assert kiosk.desk.picture(number, digest) == picture
    assert VisitJournal(home.visits_file).counts().verdicts[Verdict.REFER] == 1
    assert "Left eye" in client.get("/visit/2").text  # the unfinished one goes on, its picture judged


def test_sealing_what_was_open_is_taken_up_again_after_a_full_disk(
    home: UnitHome, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_open_records(home)
    before = VisitJournal(home.visits_file).visits()
    kiosk = kiosk_of(home, clock)
    unlock(client_of(kiosk))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("eyebright_edge.records.vault.write_bytes", full)
        kiosk.records.seal_leftovers()
    assert kiosk.desk.visits() == before
    assert kiosk.records.open_leftovers() == 9
    kiosk.records.seal_leftovers()
    assert (kiosk.desk.visits(), kiosk.records.open_leftovers()) == (before, 0)


def test_retention_forgets_the_patient_and_the_pictures_and_keeps_the_counts(home: UnitHome, clock: Clock) -> None:
    kiosk = kiosk_of(home, clock)
    client = client_of(kiosk)
    unlock(client)
    where = held(client)
    (digest,) = {one["sha256"] for one in kiosk.desk.visit(1).pictures if one["eye"] == "R"}
    assert expire(home.root / "vault", today=NOON.date() + timedelta(days=59), keep_days=30).deleted == 3
    assert CODE not in client.get("/history").text
    assert all(words in client.get("/history").text for words in ("deleted", "NO REFERRAL"))
    assert "has been deleted, as the clinic decided" in client.get(where).text
    with pytest.raises(InputError, match="has been deleted"):
        kiosk.desk.picture(1, digest)
    assert VisitJournal(home.visits_file).counts().verdicts[Verdict.NO_REFERRAL] == 1
    assert begin(client).endswith("/2")


def test_a_visit_and_a_picture_are_exported_by_act(
    home: UnitHome, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    held(client)
    monkeypatch.setenv("EYEBRIGHT_PIN", PIN)
    assert exit_code("edge", "records", "list", "--home", home.root) == 0
    listed = capsys.readouterr().out
    assert f"3 items; opened by {NAME} (pin)" in listed
    names = {line.split()[-1] for line in listed.splitlines()[:-1]}
    for number, name in enumerate(sorted(names)):
        command = ("edge", "records", "export", name, tmp_path / f"{number}.out", "--home", home.root)
        assert exit_code(*command, "--by", NAME) == 0
    written = [file.read_bytes() for file in sorted(tmp_path.glob("*.out"))]
    assert {good_picture(0), good_picture(1)} < set(written)
    (said,) = [content for content in written if CODE.encode() in content]
    assert b"diabetes" in said
    assert len(Journal(home.root / "exports.jsonl").read()[0]) == 3
    assert planted(home, CODE) == []


def test_where_nobody_can_open_the_vault_screening_begins_anew(home: UnitHome, clock: Clock) -> None:
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    held(client)
    for file in ("seals.json", "seals.copy.json"):
        (home.root / "vault" / file).write_bytes(bytes(40))
    spoilt = client_of(kiosk_of(home, clock))
    assert "The records of this unit cannot be opened" in unlock(spoilt)
    assert exit_code("edge", "records", "anew", "--home", home.root) == 0
    kiosk = kiosk_of(home, clock)
    client = client_of(kiosk)
    assert OPEN_TODAY in words_of(unlock(client))
    assert begin(client).endswith("/2")
    assert [visit.forgotten for visit in kiosk.desk.visits()] == [True, False]
    assert (home.root / "vault.old-1" / "items").is_dir()


def test_one_spoilt_copy_of_the_seals_costs_nothing(home: UnitHome, clock: Clock) -> None:
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    where = held(client)
    (home.root / "vault" / "seals.json").write_bytes(bytes(40))
    assert "NO REFERRAL" in unlock(client_of(kiosk_of(home, clock)), next=where)


def test_a_technician_of_before_with_a_short_pin_can_go_on(home: UnitHome, clock: Clock) -> None:
    salt = "00" * 16
    short = hashlib.scrypt(b"4711", salt=bytes(16), n=2**14, r=8, p=1, maxmem=2**26).hex()
    (home.root / TECHNICIANS_FILE).write_text(
        f'{{"technicians": [{{"name": "{NAME}", "salt": "{salt}", "pin": "{short}"}}]}}'
    )
    kiosk = kiosk_of(home, clock)
    assert OPEN_TODAY in words_of(unlock(client_of(kiosk), pin="4711"))
    assert kiosk.records.openers() == (NAME,)


def test_a_program_without_the_key_can_count_and_number_but_not_read(home: UnitHome, clock: Clock) -> None:
    client = client_of(kiosk_of(home, clock))
    unlock(client)
    held(client)
    (visit,) = VisitJournal(home.visits_file).visits()
    assert (visit.about.get("patient"), visit.checklist, visit.forgotten) == (None, {}, False)
    assert (visit.answer or {})["verdict"] == "NO REFERRAL"
    assert [picture["quality"]["verdict"] for picture in visit.pictures] == ["good", "good"]
    # An earlier `edge screen` wrote beside the kiosk; such lines are sealed by the next one who opens them.
    assert VisitJournal(home.visits_file, lambda: NOON).open(release="1", split="planted") == 2
    records = UnitRecords(home.root, home.visits_file, clock=lambda: NOON)
    assert records.unlock(NAME, PIN)
    records.seal_leftovers()
    assert planted(home, "planted") == []
    assert [v.number for v in desk_at(home, records=records).visits()] == [1, 2]


def test_the_days_of_what_is_kept_are_those_of_the_visits(home: UnitHome, clock: Clock) -> None:
    write_open_records(home)
    kiosk = kiosk_of(home, clock)
    unlock(client_of(kiosk))
    kiosk.records.seal_leftovers()
    days = {item.name: item.day for item in vault_items(home.root / "vault")}
    assert days[visit_item(1)] == NOON.date() - timedelta(days=3)
    assert isinstance(days[visit_item(2)], date)
