"""``technicians.json`` in a unit's home: who may work here, each with the hash of a PIN.

* A PIN is short, so it is stretched by scrypt with a salt of its own, and wrong tries cost time: after five, a pause
  that doubles with each further one.
* The pause is kept in the file: pulling the plug does not end it. A disk that cannot be written has it in memory,
  and nobody is shut out for that.
* A PIN also opens the records (``records.unit_records``), and this file would be the quicker way to guess it: the hash
  costs as much as the seal there. PINs of four and five digits are of before that; they still work.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_edge.records.unit_records import VAULT_FOLDER
from eyebright_edge.records.vault_seals import read_seals, remove_seal, vault_exists

TECHNICIANS_FILE = "technicians.json"
FREE_TRIES = 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 30, 3600
_PIN = re.compile(r"[0-9]{6,12}")
_NAME = re.compile(r"[^\W_][\w .'-]{0,39}")
# 32 MiB and some 100 ms on a small board: nothing to a person, much to somebody with a stolen disk.
_LOG2_COST, _LOG2_COST_BEFORE, _BLOCK, _LANES = 15, 14, 8, 1


class Technician(Document):
    """One technician.

    Attributes:
        name: Shown on the lock.
        salt: Of scrypt, hexadecimal.
        pin: Stretched, hexadecimal.
        log2_cost: scrypt's N is two to this power.
        wrong: Wrong tries in a row.
        wrong_at: When the last one was, seconds since 1970.
    """

    name: str
    salt: str
    pin: str
    log2_cost: int = Field(default=_LOG2_COST_BEFORE, ge=10, le=17)
    wrong: int = Field(default=0, ge=0)
    wrong_at: float = 0.0


class _Technicians(Document):
    schema_: Literal["eyebright.technicians/1"] = Field(default="eyebright.technicians/1", alias="schema")
    technicians: tuple[Technician, ...] = ()


class Technicians:
    """Who may work at the unit at ``home``."""

    def __init__(self, home: Path) -> None:
        self._path = home / TECHNICIANS_FILE
        self._unwritten: dict[str, dict[str, object]] = {}
        self._vault = home / VAULT_FOLDER

    def names(self) -> tuple[str, ...]:
        """Return the technicians' names.

        Raises:
            InputError: the file cannot be used.
        """
        return tuple(one.name for one in self._read())

    def set_pin(self, name: str, pin: str) -> None:
        """Add a technician, or give one a new PIN.

        Raises:
            InputError: the name or the PIN cannot be used.
        """
        shown = name.strip()
        if not _NAME.fullmatch(shown):
            raise InputError("this name cannot be used", value=name, fix="Use up to 40 letters, digits and spaces.")
        if not _PIN.fullmatch(pin) or len(set(pin)) == 1 or pin in "01234567890123" or pin in "98765432109876":
            raise InputError("this PIN cannot be used", fix="Use 6 to 12 digits, not all alike and not in a row.")
        salt = secrets.token_bytes(16)
        stretched = _stretched(pin, salt, _LOG2_COST).hex()
        added = Technician(name=shown, salt=salt.hex(), pin=stretched, log2_cost=_LOG2_COST)
        self._write((*(one for one in self._read() if one.name != shown), added))

    def remove(self, name: str) -> None:
        """Take a technician off the unit; the PIN opens its records no longer.

        Raises:
            InputError: there is none of that name, or nobody else could open the records.
        """
        everyone = self._read()
        if name not in {one.name for one in everyone}:
            raise InputError("no such technician", value=name, fix=f"There are: {', '.join(self.names()) or 'none'}.")
        if vault_exists(self._vault) and name in {seal.name for seal in read_seals(self._vault).seals}:
            remove_seal(self._vault, name)
        self._write(tuple(one for one in everyone if one.name != name))

    def pause_s(self, name: str, *, now: float) -> int:
        """Return how many seconds a technician still has to wait before a PIN is looked at.

        Args:
            name: Who.
            now: The time, seconds since 1970.
        """
        one = self._find(name)
        return 0 if one is None else _pause(one, now)

    def check(self, name: str, pin: str, *, now: float) -> bool:
        """Return whether the PIN is this technician's; a wrong one is counted, and none is looked at during a pause.

        A right one does not wipe out the wrong ones before it: ``let_in`` does, when nothing else is asked for.
        """
        one = self._find(name)
        if one is None or _pause(one, now):
            return False
        right = hmac.compare_digest(_stretched(pin, bytes.fromhex(one.salt), one.log2_cost).hex(), one.pin)
        if not right:
            self.count_wrong(name, now=now)
        return right

    def let_in(self, name: str) -> None:
        """Forget the wrong tries of a technician who is in front of the open screen now."""
        one = self._find(name)
        if one is not None and one.wrong:
            self._change(name, wrong=0, wrong_at=0.0)

    def count_wrong(self, name: str, *, now: float) -> None:
        """Count a wrong try of a technician: of this PIN, or of a colleague's that was to let this one in."""
        one = self._find(name)
        if one is not None:
            self._change(name, wrong=one.wrong + 1, wrong_at=now)

    def tries_left(self, name: str) -> int:
        """Return how many wrong PINs are free of a pause."""
        one = self._find(name)
        return max(0, FREE_TRIES - one.wrong) if one else 0

    def _change(self, name: str, **changed: object) -> None:
        self._unwritten[name] = changed
        with suppress(InputError):
            self._write(self._read())
            self._unwritten.clear()

    def _find(self, name: str) -> Technician | None:
        return next((one for one in self._read() if one.name == name), None)

    def _read(self) -> tuple[Technician, ...]:
        try:
            known = _Technicians.model_validate_json(self._path.read_bytes()).technicians
            return tuple(one.model_copy(update=self._unwritten.get(one.name, {})) for one in known)
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            fix = "Delete it and give the technicians new PINs."
            raise InputError("the list of technicians cannot be read", value=self._path, fix=fix) from error

    def _write(self, technicians: tuple[Technician, ...]) -> None:
        try:
            write_bytes(self._path, _Technicians(technicians=technicians).to_json(), mode=0o600)
        except OSError as error:
            found = f"{self._path} ({error.strerror})"
            raise InputError("the list of technicians cannot be written", value=found) from error


def _stretched(pin: str, salt: bytes, log2_cost: int) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=2**log2_cost, r=_BLOCK, p=_LANES, maxmem=256 * 2**20)


def _pause(one: Technician, now: float) -> int:
    if one.wrong < FREE_TRIES:
        return 0
    # The exponent is bounded before it is used: a file can claim any number of tries.
    pause = min(_FIRST_PAUSE_S * (1 << min(one.wrong - FREE_TRIES, 10)), _LONGEST_PAUSE_S)
    # A clock that was set back must not make the pause longer than it ever was.
    return max(0, min(pause, round(one.wrong_at + pause - now)))
