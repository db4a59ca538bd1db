"""``unit.json``: what this unit screens for, chosen when it enrols."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_edge.agent.home import UnitHome


class UnitSettings(Document):
    """What this unit screens for."""

    schema_: Literal["eyebright.unit/1"] = Field(default="eyebright.unit/1", alias="schema")
    task: str


def read_settings(home: UnitHome) -> UnitSettings:
    """Return the settings.

    Raises:
        InputError: this unit has not been enrolled, or its settings cannot be read.
    """
    home.require()
    fix = "Enrol with `eyebright edge enrol INVITATION --home DIR`."
    try:
        return UnitSettings.model_validate_json(home.settings_file.read_bytes())
    except FileNotFoundError:
        raise InputError("this unit has not been enrolled", value=home.root, fix=fix) from None
    except (OSError, ValidationError) as error:
        raise InputError("the settings of this unit cannot be read", value=home.settings_file, fix=fix) from error


def write_settings(home: UnitHome, settings: UnitSettings) -> None:
    """Replace the settings durably."""
    write_bytes(home.settings_file, settings.to_json())
