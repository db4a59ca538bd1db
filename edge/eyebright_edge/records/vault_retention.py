"""How long pictures, patients' codes and answers are kept, and how they are deleted.

* An item is deleted when its day is more than ``keep_days`` ago. No PIN is needed: a unit that nobody opens still
  forgets.
* Deleting destroys the item's key first (overwritten in place, synced, removed), then the item (the same). Flash memory
  and journaling file systems may keep the old blocks of a file that was overwritten; what they keep of the item is
  useless without its key, and what they keep of the key is sealed by the data key. Against a laboratory that has the
  disk *and* a PIN, only an encrypted disk helps.
* A clock that jumped forward must not empty the vault: when the newest item is much older than today, nothing is
  deleted before a person has confirmed the date. A clock that jumped back deletes nothing by itself.
* Power loss in between is finished by the next run: an item without a key, or a key without an item, is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from eyebright_common.errors import InputError
from eyebright_edge.records.destruction import destroy
from eyebright_edge.records.vault import vault_items, vault_locked

LONGEST_GAP_DAYS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What a run of retention did.

    Attributes:
        deleted: How many items were deleted.
        kept: How many are left.
        notice: Why nothing was deleted although something is due; empty otherwise.
    """

    deleted: int
    kept: int
    notice: str = ""


def expire(root: Path, *, today: date, keep_days: int, date_confirmed: bool = False) -> Expiry:
    """Delete what has been kept long enough.

    Args:
        root: The vault's folder.
        today: The present day.
        keep_days: How long an item is kept.
        date_confirmed: Whether a person has said that ``today`` is right.

    Raises:
        InputError: ``keep_days`` is not positive, or something cannot be deleted.
    """
    if keep_days < 1:
        raise InputError(
            "pictures are kept for at least a day", value=keep_days, fix="Give a number of days from 1 on."
        )
    if not root.is_dir():
        return Expiry(deleted=0, kept=0)
    with vault_locked(root):
        return _expired(root, today=today, keep_days=keep_days, date_confirmed=date_confirmed)


def _expired(root: Path, *, today: date, keep_days: int, date_confirmed: bool) -> Expiry:
    _finish(root)
    items = vault_items(root)
    due = [item for item in items if item.day != date.min and item.day < today - timedelta(days=keep_days)]
    gap = (today - items[-1].day).days if items else 0
    if due and gap > LONGEST_GAP_DAYS and not date_confirmed:
        notice = f"The newest picture is {gap} days old: nothing is deleted until the date {today} is confirmed."
        return Expiry(deleted=0, kept=len(items), notice=notice)
    for item in due:
        delete_item(root, item.name)
    return Expiry(deleted=len(due), kept=len(items) - len(due))


def delete_item(root: Path, name: str) -> None:
    """Delete an item so that it cannot be read again; one that is not there is deleted already.

    Raises:
        InputError: the disk does not let it.
    """
    try:
        destroy(root / "keys" / name)
        destroy(root / "items" / name)
    except OSError as error:
        fix = "Check the disk: it may be read-only."
        raise InputError("an item of the vault cannot be deleted", value=error.strerror, fix=fix) from error


def _finish(root: Path) -> None:
    keys, items = (_names(root / folder) for folder in ("keys", "items"))
    for name in (keys - items) | (items - keys):
        delete_item(root, name)
    for folder in ("keys", "items"):
        for draft in (root / folder).glob(".*.part"):
            destroy(draft)


def _names(folder: Path) -> set[str]:
    return {f.name for f in folder.iterdir() if not f.name.startswith(".")} if folder.is_dir() else set()
