"""The vault: what is in it reads as noise on the disk, opens for those who may, and is forgotten in time."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest.mock import ANY

import pytest

from eyebright_common.errors import InputError
from eyebright_common.release import Verdict
from eyebright_edge.records.journal import Journal
from eyebright_edge.records.vault import Vault, create_vault, open_with_key_file, open_with_pin, vault_items, visit_item
from eyebright_edge.records.vault_retention import delete_item, expire
from eyebright_edge.records.vault_seals import read_seals, remove_seal
from eyebright_edge.records.vault_store import SealedJournal, VaultPictures, export_item
from eyebright_edge.records.visits import VisitJournal

DAY = date(2026, 1, 2)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SECRET = b"JFIF Family^Given 1961-02-03 " * 40


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return create_vault(tmp_path / "vault", name="stick", key_file=tmp_path / "stick.key")


def _on_disk(root: Path) -> bytes:
    return b"\n".join(str(f).encode() + f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file())


def test_what_is_kept_comes_back_and_reads_as_noise_on_the_disk(vault: Vault) -> None:
    vault.put("000001-a", SECRET, day=DAY)
    assert vault.get("000001-a") == SECRET
    assert b"Family" not in _on_disk(vault.root)
    assert b"JFIF" not in _on_disk(vault.root)
    assert all(f.stat().st_mode & 0o077 == 0 for f in (vault.root / "items").iterdir())


def test_a_pin_opens_it_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    create_vault(tmp_path / "vault", name="technician 1", pin="482916").put("a", SECRET, day=DAY)
    assert open_with_pin(tmp_path / "vault", "482916").get("a") == SECRET
    with pytest.raises(InputError, match="does not open with this PIN"):
        open_with_pin(tmp_path / "vault", "482917")
    assert b"482916" not in _on_disk(tmp_path / "vault")


def test_each_technician_has_a_pin_and_it_can_be_taken_away(vault: Vault, tmp_path: Path) -> None:
    vault.put("a", SECRET, day=DAY)
    vault.add_pin("technician 1", "482916")
    vault.add_pin("technician 2", "771100")
    assert open_with_pin(vault.root, "771100").get("a") == SECRET
    with pytest.raises(InputError, match="has a PIN or key file already"):
        vault.add_pin("technician 1", "999999")
    remove_seal(vault.root, "technician 2")
    with pytest.raises(InputError, match="does not open"):
        open_with_pin(vault.root, "771100")
    remove_seal(vault.root, "technician 1")
    with pytest.raises(InputError, match="last key"):
        remove_seal(vault.root, "stick")
    assert open_with_key_file(vault.root, tmp_path / "stick.key").get("a") == SECRET


def test_another_vaults_key_file_and_a_file_that_is_none_are_refused(vault: Vault, tmp_path: Path) -> None:
    create_vault(tmp_path / "other", name="x", key_file=tmp_path / "other.key")
    with pytest.raises(InputError, match="does not open with this key file"):
        open_with_key_file(vault.root, tmp_path / "other.key")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="not a key file"):
        open_with_key_file(vault.root, tmp_path / "text")


def test_a_short_pin_and_a_second_vault_are_refused(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too short"):
        create_vault(tmp_path / "new", name="technician 1", pin="12345")
    with pytest.raises(InputError, match="a vault here already"):
        create_vault(vault.root, name="technician 1", pin="123456")


@pytest.mark.parametrize("damage", ["flip", "cut", "exchange", "other day"])
def test_a_changed_item_is_damaged_not_wrong(vault: Vault, damage: str) -> None:
    vault.put("a", SECRET, day=DAY)
    vault.put("b", b"another picture", day=DAY)
    path = vault.root / "items" / "a"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-3] ^= 1
    elif damage == "cut":
        content = content[:40]
    elif damage == "exchange":
        content = bytearray((vault.root / "items" / "b").read_bytes())
    else:
        content = bytearray(bytes(content).replace(b"2026-01-02", b"2030-01-02", 1))
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        vault.get("a")


def test_a_closed_vault_has_forgotten_its_key(vault: Vault, tmp_path: Path) -> None:
    vault.put("a", SECRET, day=DAY)
    vault.close()
    assert vault.closed
    with pytest.raises(InputError, match="locked"):
        vault.get("a")
    with pytest.raises(InputError, match="locked"):
        vault.put("b", SECRET, day=DAY)
    assert open_with_key_file(vault.root, tmp_path / "stick.key").get("a") == SECRET


def test_the_key_of_a_visit_is_made_once_and_completed_after_a_power_cut(vault: Vault) -> None:
    key = vault.key_for("000001-visit", day=DAY)
    assert vault.key_for("000001-visit", day=DAY) == key == vault.key_of("000001-visit")
    (vault.root / "items" / "000001-visit").unlink()
    assert vault.key_for("000001-visit", day=DAY) == key
    assert expire(vault.root, today=DAY, keep_days=1).kept == 1
    (vault.root / "keys" / "000001-visit").write_bytes(bytes(60))
    assert vault.key_of("000001-visit") is None
    assert vault.key_for("000001-visit", day=DAY) != key


def test_pictures_of_a_visit_are_kept_once(vault: Vault) -> None:
    pictures = VaultPictures(vault, lambda: NOON)
    digest = pictures.put(7, SECRET)
    before = (vault.root / "items" / pictures.name_of(7, digest)).read_bytes()
    assert pictures.put(7, SECRET) == digest
    assert (vault.root / "items" / pictures.name_of(7, digest)).read_bytes() == before
    assert pictures.get(7, digest) == SECRET
    assert digest[:8] not in pictures.name_of(7, digest)
    with pytest.raises(InputError, match="gone or damaged"):
        pictures.get(8, digest)


def sealed_journal(vault: Vault, path: Path) -> VisitJournal:
    return VisitJournal(path, lambda: NOON, journal=SealedJournal(Journal(path), vault))


def test_a_journal_of_visits_tells_nothing_but_counts_without_a_key(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "visits.jsonl"
    sealed = sealed_journal(vault, path)
    number = sealed.open(release="1", patient="P-0042-ZEBRA")
    sealed.answer_checklist(number, {"symptoms": "no"})
    picture = {"eye": "R", "verdict": "REFER", "name": "zebra.jpg", "score": 0.7315, "quality": {"verdict": "good"}}
    sealed.add_picture(number, picture)
    sealed.close(number, {"verdict": "REFER", "advice": "advice.refer", "reasons": ["referable_finding:R"]})
    written = path.read_bytes()
    assert [
        w for w in (b"ZEBRA", b"zebra", b"symptoms", b"0.7315", b"advice", b"eye", b"finding:R") if w in written
    ] == []
    assert sealed.visit(number).pictures[0]["name"] == "zebra.jpg"
    plain = VisitJournal(path)
    assert plain.counts().pictures == 1
    assert plain.visit(number).answer == {"verdict": "REFER", "at": NOON.isoformat(), "sealed": ANY}


@pytest.mark.parametrize("changed", ["visit", "verdict", "sealed"])
def test_a_line_that_was_changed_does_not_pass_for_another(vault: Vault, tmp_path: Path, changed: str) -> None:
    journal = Journal(tmp_path / "visits.jsonl")
    for patient in ("P-1", "P-2"):
        sealed_journal(vault, journal.path).open(release="1", patient=patient, verdict="REFER")
    first, second = journal.read()[0]
    journal.path.unlink()
    journal.append({**first, changed: second[changed] if changed != "verdict" else "NO REFERRAL"})
    (entry,), _ = SealedJournal(journal, vault).read()
    assert (entry["forgotten"], "patient" in entry) == (True, False)


def test_without_its_key_a_visit_is_forgotten_and_counted(vault: Vault, tmp_path: Path) -> None:
    sealed = sealed_journal(vault, tmp_path / "visits.jsonl")
    for patient in ("P-1", "P-2"):
        sealed.close(sealed.open(release="1", patient=patient), {"verdict": "REFER", "score": 0.9})
    assert [visit.about["patient"] for visit in sealed.visits()] == ["P-1", "P-2"]
    delete_item(vault.root, visit_item(1))
    assert [(visit.forgotten, visit.about.get("patient")) for visit in sealed.visits()] == [
        (True, None),
        (False, "P-2"),
    ]
    assert sealed.counts().verdicts[Verdict.REFER] == 2
    with pytest.raises(InputError, match="has been deleted"):
        sealed.visit(1)


def test_lines_that_were_open_are_sealed_and_the_old_ones_destroyed(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "visits.jsonl"
    VisitJournal(path, lambda: NOON).open(release="1", patient="P-0042-ZEBRA")
    with path.open("ab") as file:
        file.write(b'{"crc32":"00000000","entry":{"patient":"P-0043-ZEBRA"}}\n')
    (tmp_path / "blocks").hardlink_to(path)  # another name for what the disk holds after it was rewritten
    sealed = SealedJournal(Journal(path), vault)
    before = sealed.read()
    assert sealed.open_entries() == 1
    sealed.seal_open_entries()
    assert (sealed.read(), sealed.open_entries()) == (before, 0)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["blocks", "stick.key", "vault", "visits.jsonl"]
    assert b"ZEBRA" not in path.read_bytes() + (tmp_path / "blocks").read_bytes()


@pytest.mark.parametrize("replaced", [False, True], ids=["before", "after the new file took its place"])
def test_a_rewrite_that_power_loss_cut_short_is_finished(vault: Vault, tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "visits.jsonl"
    VisitJournal(path, lambda: NOON).open(release="1", patient="P-0042-ZEBRA")
    left = path.with_name("visits.jsonl.before")
    left.hardlink_to(path)
    sealed = SealedJournal(Journal(path), vault)
    if replaced:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    sealed.seal_open_entries()
    assert not left.exists()
    assert [entry["patient"] for entry in sealed.read()[0]] == ["P-0042-ZEBRA"]


def test_who_waited_for_a_rewrite_writes_into_the_new_file(tmp_path: Path) -> None:
    journal, other = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    journal.append({"n": 1})
    started = threading.Event()

    def append_meanwhile() -> None:
        started.set()
        other.append({"n": 2})

    waiting = threading.Thread(target=append_meanwhile)

    def change(entry: Mapping[str, object]) -> Mapping[str, object]:
        waiting.start()
        started.wait()
        return {**entry, "rewritten": True}

    journal.rewrite(change)
    waiting.join()
    assert journal.read()[0] == [{"n": 1, "rewritten": True}, {"n": 2}]


def test_old_pictures_are_forgotten_and_young_ones_kept(vault: Vault) -> None:
    for age in (100, 91, 90, 10, 0):
        vault.put(f"age-{age}", SECRET, day=DAY - timedelta(days=age))
    done = expire(vault.root, today=DAY, keep_days=90)
    assert (done.deleted, done.kept, done.notice) == (2, 3, "")
    assert {item.name for item in vault_items(vault.root)} == {"age-90", "age-10", "age-0"}
    with pytest.raises(InputError, match="no such item"):
        vault.get("age-100")


def test_deleting_overwrites_the_key_before_the_file_goes(vault: Vault, tmp_path: Path) -> None:
    vault.put("a", SECRET, day=DAY)
    key, item = vault.root / "keys" / "a", vault.root / "items" / "a"
    (tmp_path / "key").hardlink_to(key)  # another name for the same blocks: what they hold after the deletion
    (tmp_path / "item").hardlink_to(item)
    before = (tmp_path / "key").read_bytes(), (tmp_path / "item").read_bytes()
    delete_item(vault.root, "a")
    after = (tmp_path / "key").read_bytes(), (tmp_path / "item").read_bytes()
    assert not key.exists()
    assert not item.exists()
    assert [len(content) for content in after] == [len(content) for content in before]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert after[1][:17] != before[1][:17]


def test_a_clock_that_jumped_forward_empties_nothing(vault: Vault) -> None:
    vault.put("a", SECRET, day=DAY)
    done = expire(vault.root, today=date(2099, 1, 1), keep_days=30)
    assert done.deleted == 0
    assert "2099-01-01 is confirmed" in done.notice
    assert expire(vault.root, today=date(1970, 1, 1), keep_days=30).deleted == 0
    assert expire(vault.root, today=date(2099, 1, 1), keep_days=30, date_confirmed=True).deleted == 1


@pytest.mark.parametrize("left", ["key", "item", "draft"])
def test_a_deletion_that_power_loss_cut_short_is_finished(vault: Vault, left: str) -> None:
    vault.put("a", SECRET, day=DAY)
    vault.put("b", SECRET, day=DAY)
    key, item = vault.root / "keys" / "a", vault.root / "items" / "a"
    if left == "key":
        item.unlink()
    elif left == "item":
        key.unlink()
    else:
        (vault.root / "items" / ".a.1-2.part").write_bytes(b"half")
    expire(vault.root, today=DAY, keep_days=1)
    kept = {f.name for folder in ("keys", "items") for f in (vault.root / folder).iterdir()}
    assert kept == ({"a", "b"} if left == "draft" else {"b"})


def test_an_export_is_on_the_journal_and_never_overwrites(vault: Vault, tmp_path: Path) -> None:
    vault.put("a", SECRET, day=DAY)
    journal, visits = Journal(tmp_path / "exports.jsonl"), Journal(tmp_path / "visits.jsonl")
    target = tmp_path / "family.jpg"
    export_item(vault, "a", target, visits=visits, journal=journal, by="technician 1", clock=lambda: NOON)
    assert target.read_bytes() == SECRET
    (entry,), _ = journal.read()
    assert (entry["item"], entry["by"], entry["at"]) == ("a", "technician 1", NOON.isoformat())
    assert "family" not in json.dumps(entry)
    with pytest.raises(InputError, match="exists already"):
        export_item(vault, "a", target, visits=visits, journal=journal, by="technician 1", clock=lambda: NOON)


def test_nothing_is_exported_when_the_journal_cannot_take_it(vault: Vault, tmp_path: Path) -> None:
    vault.put("a", SECRET, day=DAY)
    (tmp_path / "exports.jsonl").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        exports, visits = Journal(tmp_path / "exports.jsonl"), Journal(tmp_path / "visits.jsonl")
        export_item(vault, "a", tmp_path / "out", visits=visits, journal=exports, by="a", clock=lambda: NOON)
    assert not (tmp_path / "out").exists()


def test_damaged_seals_are_one_clear_line(vault: Vault, tmp_path: Path) -> None:
    for file in ("seals.json", "seals.copy.json"):
        (vault.root / file).write_text("{")
    with pytest.raises(InputError, match="seals of this vault cannot be read"):
        read_seals(vault.root)
    with pytest.raises(InputError, match="no vault here"):
        open_with_pin(tmp_path / "nowhere", "123456")
