"""The vault: what is in it reads as noise on the disk, opens for those who may, and is forgotten in time."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from eyebright_common.errors import InputError
from eyebright_edge.records.journal import Journal
from eyebright_edge.records.vault import Vault, create_vault, open_with_key_file, open_with_pin, vault_items
from eyebright_edge.records.vault_retention import delete_item, expire
from eyebright_edge.records.vault_seals import read_seals
from eyebright_edge.records.vault_store import SealedJournal, VaultPictures, export_item
from eyebright_edge.records.visits import VisitJournal

DAY = date(2026, 1, 2)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SECRET = b"JFIF Doe^Jane 1961-02-03 " * 40


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return create_vault(tmp_path / "vault", name="stick", key_file=tmp_path / "stick.key")


def _on_disk(root: Path) -> bytes:
    return b"\n".join(str(f).encode() + f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file())


def test_what_is_kept_comes_back_and_reads_as_noise_on_the_disk(vault: Vault) -> None:
    vault.put("000001-a", SECRET, day=DAY)
    assert vault.get("000001-a") == SECRET
    assert b"Doe" not in _on_disk(vault.root)
    assert b"JFIF" not in _on_disk(vault.root)
    assert all(f.stat().st_mode & 0o077 == 0 for f in (vault.root / "items").iterdir())


def test_a_pin_opens_it_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    create_vault(tmp_path / "vault", name="asha", pin="482916").put("a", SECRET, day=DAY)
    assert open_with_pin(tmp_path / "vault", "482916").get("a") == SECRET
    with pytest.raises(InputError, match="does not open with this PIN"):
        open_with_pin(tmp_path / "vault", "482917")
    assert b"482916" not in _on_disk(tmp_path / "vault")


def test_each_technician_has_a_pin_and_it_can_be_taken_away(vault: Vault, tmp_path: Path) -> None:
    vault.put("a", SECRET, day=DAY)
    vault.add_pin("asha", "482916")
    vault.add_pin("bilal", "771100")
    assert open_with_pin(vault.root, "771100").get("a") == SECRET
    with pytest.raises(InputError, match="has a PIN or key file already"):
        vault.add_pin("asha", "999999")
    vault.remove_seal("bilal")
    with pytest.raises(InputError, match="does not open"):
        open_with_pin(vault.root, "771100")
    vault.remove_seal("asha")
    with pytest.raises(InputError, match="last key"):
        vault.remove_seal("stick")
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
        create_vault(tmp_path / "new", name="asha", pin="12345")
    with pytest.raises(InputError, match="a vault here already"):
        create_vault(vault.root, name="asha", pin="123456")


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


def test_a_sealed_text_opens_in_its_own_vault_only(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal_text("Doe, Jane")
    assert "Doe" not in sealed
    assert vault.open_text(sealed) == "Doe, Jane"
    assert vault.seal_text("Doe, Jane") != sealed
    assert vault.open_text("P-1, never sealed") == "P-1, never sealed"
    other = create_vault(tmp_path / "other", name="x", key_file=tmp_path / "other.key")
    with pytest.raises(InputError, match="another vault"):
        other.open_text(sealed)


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


def test_a_journal_of_visits_names_nobody_on_disk_and_counts_without_a_key(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "visits.jsonl"
    sealed = VisitJournal(path, lambda: NOON, journal=SealedJournal(Journal(path), vault))  # type: ignore[arg-type]
    number = sealed.open(release="1", patient="Doe^Jane")
    sealed.add_picture(number, {"eye": "R", "verdict": "REFER", "name": "Jane_Doe.jpg", "quality": {"name": "Doe"}})
    sealed.close(number, {"verdict": "REFER"})
    assert b"Doe" not in path.read_bytes()
    assert sealed.visit(number).pictures[0]["name"] == "Jane_Doe.jpg"
    plain = VisitJournal(path)
    assert plain.counts().pictures == 1
    assert plain.visit(number).answer is not None


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
    journal = Journal(tmp_path / "exports.jsonl")
    target = tmp_path / "Doe.jpg"
    export_item(vault, "a", target, journal=journal, by="asha", clock=lambda: NOON)
    assert target.read_bytes() == SECRET
    (entry,), _ = journal.read()
    assert (entry["item"], entry["by"], entry["at"]) == ("a", "asha", NOON.isoformat())
    assert "Doe" not in json.dumps(entry)
    with pytest.raises(InputError, match="exists already"):
        export_item(vault, "a", target, journal=journal, by="asha", clock=lambda: NOON)


def test_nothing_is_exported_when_the_journal_cannot_take_it(vault: Vault, tmp_path: Path) -> None:
    vault.put("a", SECRET, day=DAY)
    (tmp_path / "exports.jsonl").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        export_item(
            vault, "a", tmp_path / "out", journal=Journal(tmp_path / "exports.jsonl"), by="a", clock=lambda: NOON
        )
    assert not (tmp_path / "out").exists()


def test_damaged_seals_are_one_clear_line(vault: Vault, tmp_path: Path) -> None:
    (vault.root / "seals.json").write_text("{")
    with pytest.raises(InputError, match="seals of this vault cannot be read"):
        read_seals(vault.root)
    with pytest.raises(InputError, match="no vault here"):
        open_with_pin(tmp_path / "nowhere", "123456")
