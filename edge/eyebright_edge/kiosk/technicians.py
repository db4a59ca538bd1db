"""``technicians.json`` in a unit's home: who may work here, each with the hash of a PIN.

* A PIN is short, so it is stretched by scrypt with a salt of its own, and wrong tries cost time: after five, a pause
  that doubles with each further one.
* The pause is kept in the file: pulling the plug does not end it.
* A PIN keeps other people's eyes off the screen. It does not encrypt anything; the vault does.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError

TECHNICIANS_FILE = "technicians.json"
FREE_TRIES = 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 30, 3600
_PIN = re.compile(r"[0-9]{4,12}")
_NAME = re.compile(r"[^\W_][\w .'-]{0,39}")
# 16 MiB and some 50 ms on a small board: nothing to a person, much to somebody with a stolen disk.
_COST, _BLOCK, _LANES = 2**14, 8, 1


class Technician(Document):
    """One technician: name, salt and stretched PIN in hexadecimal, wrong tries in a row, and when the last one was."""

    name: str
    salt: str
    pin: str
    wrong: int = Field(default=0, ge=0)
    wrong_at: float = 0.0


class _Technicians(Document):
    schema_: Literal["eyebright.technicians/1"] = Field(default="eyebright.technicians/1", alias="schema")
    technicians: tuple[Technician, ...] = ()


class Technicians:
    """Who may work at the unit at ``home``."""

    def __init__(self, home: Path) -> None:
        self._path = home / TECHNICIANS_FILE

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
            raise InputError("this PIN cannot be used", fix="Use 4 to 12 digits, not all alike and not in a row.")
        salt = secrets.token_bytes(16)
        added = Technician(name=shown, salt=salt.hex(), pin=_stretched(pin, salt).hex())
        self._write((*(one for one in self._read() if one.name != shown), added))

    def remove(self, name: str) -> None:
        """Take a technician off the unit.

        Raises:
            InputError: there is none of that name.
        """
        everyone = self._read()
        if name not in {one.name for one in everyone}:
            raise InputError("no such technician", value=name, fix=f"There are: {', '.join(self.names()) or 'none'}.")
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
        """Return whether the PIN is this technician's; a wrong one is counted, and none is looked at during a pause."""
        one = self._find(name)
        if one is None or _pause(one, now):
            return False
        right = hmac.compare_digest(_stretched(pin, bytes.fromhex(one.salt)).hex(), one.pin)
        if right and not one.wrong:
            return True
        changed = {"wrong": 0 if right else one.wrong + 1, "wrong_at": 0.0 if right else now}
        self._write(tuple(o if o.name != name else o.model_copy(update=changed) for o in self._read()))
        return right

    def tries_left(self, name: str) -> int:
        """Return how many wrong PINs are free of a pause."""
        one = self._find(name)
        return max(0, FREE_TRIES - one.wrong) if one else 0

    def _find(self, name: str) -> Technician | None:
        return next((one for one in self._read() if one.name == name), None)

    def _read(self) -> tuple[Technician, ...]:
        try:
            return _Technicians.model_validate_json(self._path.read_bytes()).technicians
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


def _stretched(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, maxmem=64 * 2**20)


def _pause(one: Technician, now: float) -> int:
    if one.wrong < FREE_TRIES:
        return 0
    # The exponent is bounded before it is used: a file can claim any number of tries.
    pause = min(_FIRST_PAUSE_S * (1 << min(one.wrong - FREE_TRIES, 10)), _LONGEST_PAUSE_S)
    # A clock that was set back must not make the pause longer than it ever was.
    return max(0, min(pause, round(one.wrong_at + pause - now)))
