"""``kiosk.json`` in a unit's home: what the clinic decides about its screen. Optional, written by hand."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from eyebright_common.documents import Document, problems_of
from eyebright_common.errors import InputError
from eyebright_edge.screening.advice import REFER_DAYS, RESCREEN_MONTHS

KIOSK_FILE = "kiosk.json"
PORT = 8411


class KioskSettings(Document):
    """What the clinic decides about its screen.

    Attributes:
        schema_: Version of this file's shape; spelt ``schema`` in JSON.
        language: Shown until somebody chooses another.
        camera: The camera that is plugged in here, for pictures that do not name theirs.
        inbox: The folder the camera saves into; a relative path starts at the unit's home.
        idle_lock_s: Seconds without a touch after which the screen locks.
        refer_days: By when a referred patient is to be seen.
        rescreen_months: When to come again after a negative answer.
        host: Address to listen on; anything but loopback needs a certificate.
        port: Port to listen on.
        names: Further names under which the screen may be asked for, e.g. ``clinic-7.local``.
        certificate: TLS certificate (PEM); a relative path starts at the unit's home.
        key: Its key.
        records_key: A file that opens the records without a person; a relative path starts at the unit's home. Made
            when it is not there and its folder is. Left out, a technician's PIN opens them.
    """

    schema_: Literal["eyebright.kiosk/1"] = Field(default="eyebright.kiosk/1", alias="schema")
    language: Literal["en", "es", "hi", "ar"] = "en"
    camera: str = Field(default="", max_length=80)
    inbox: Path = Path("inbox")
    idle_lock_s: int = Field(default=300, ge=20, le=3600)
    refer_days: int = Field(default=REFER_DAYS, ge=1, le=365)
    rescreen_months: int = Field(default=RESCREEN_MONTHS, ge=1, le=36)
    host: str = "127.0.0.1"
    port: int = Field(default=PORT, ge=0, le=65535)
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    records_key: Path | None = None

    @model_validator(mode="after")
    def _protected(self) -> Self:
        if not is_loopback(self.host) and (self.certificate is None or self.key is None):
            raise ValueError("listening beyond this machine needs certificate and key")
        return self


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_kiosk_settings(home: Path, *, port: int | None = None) -> KioskSettings:
    """Return the settings of the unit at ``home``; the defaults when there is no file.

    Args:
        home: The unit's home.
        port: Takes the place of the file's.

    Raises:
        InputError: the file is there and cannot be used.
    """
    path = home / KIOSK_FILE
    fix = 'It is JSON such as {"language": "hi", "camera": "Maker Model", "idle_lock_s": 300}.'
    try:
        found = KioskSettings.model_validate_json(path.read_bytes()) if path.exists() else KioskSettings()
    except ValidationError as error:
        problem = problems_of(error, whole="settings")[0]
        raise InputError("the kiosk's settings cannot be used", value=f"{path}: {problem}", fix=fix) from None
    except OSError as error:
        raise InputError("the kiosk's settings cannot be read", value=f"{path} ({error.strerror})", fix=fix) from error
    told = {
        name: home / value for name in ("inbox", "certificate", "key", "records_key") if (value := getattr(found, name))
    }
    return found.model_copy(update=told if port is None else {**told, "port": port})
