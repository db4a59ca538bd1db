"""``clinic.json`` in a unit's home: what a report says of the place that hands it out. Optional, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.errors import InputError

CLINIC_FILE = "clinic.json"
Language = Literal["en", "es", "hi", "ar"]


class Clinic(Document):
    """The place that hands a report out.

    Attributes:
        schema_: Version of this file's shape; spelt ``schema`` in JSON.
        name: As it stands at the top of a report.
        logo: A PNG or JPEG; a relative path starts at the unit's home.
        language: Of reports, unless another is asked for.
    """

    schema_: Literal["eyebright.clinic/1"] = Field(default="eyebright.clinic/1", alias="schema")
    name: str = Field(default="", max_length=120)
    logo: Path | None = None
    language: Language = "en"


def read_clinic(home: Path | None) -> Clinic:
    """Return the clinic of the unit at ``home``; one without a name when there is no file, or no home.

    Raises:
        InputError: the file is there and cannot be used.
    """
    if home is None or not (home / CLINIC_FILE).exists():
        return Clinic()
    path = home / CLINIC_FILE
    fix = 'It is JSON such as {"name": "Clinic", "logo": "logo.png", "language": "en"}.'
    try:
        clinic = Clinic.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{path} ({'.'.join(map(str, first['loc'])) or 'whole file'}: {first['msg']})"
        raise InputError("the clinic's file cannot be used", value=found, fix=fix) from None
    except OSError as error:
        raise InputError("the clinic's file cannot be read", value=f"{path} ({error.strerror})", fix=fix) from error
    return clinic.model_copy(update={"logo": home / clinic.logo}) if clinic.logo is not None else clinic
