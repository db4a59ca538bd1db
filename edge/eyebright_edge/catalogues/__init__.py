"""What a technician reads, in every language the kiosk speaks: one JSON file of ``key: sentence`` each.

* English is the first; every other file has the same keys and the same ``{placeholders}``. A test holds them to it.
* Numbers are written in Western digits and dates with the month's name, so that no reader takes a day for a month.
* A value put into a sentence is isolated (U+2068 … U+2069): a code keeps its own direction inside Arabic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Literal

from eyebright_common.errors import InputError

Direction = Literal["ltr", "rtl"]
_ISOLATE, _END = "\u2068", "\u2069"


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language of the kiosk.

    Attributes:
        code: BCP 47.
        name: What its speakers call it.
        direction: How its script runs.
    """

    code: str
    name: str
    direction: Direction = "ltr"


LANGUAGES = (
    Language(code="en", name="English"),
    Language(code="es", name="Español"),
    Language(code="hi", name="हिन्दी"),
    Language(code="ar", name="العربية", direction="rtl"),
)


class Words:
    """The sentences of one language.

    Attributes:
        language: Which.
    """

    def __init__(self, language: Language, catalogue: Mapping[str, str]) -> None:
        self.language = language
        self._catalogue = catalogue

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence of ``key`` with its values."""
        isolated = {name: f"{_ISOLATE}{value}{_END}" for name, value in values.items()}
        return self._catalogue[key].format(**isolated)

    def __contains__(self, key: str) -> bool:
        return key in self._catalogue

    def first(self, *keys: str, **values: object) -> str:
        """Return the sentence of the first key that there is, with its values."""
        return self(next(key for key in keys if key in self), **values)

    def day(self, moment: date) -> str:
        """Return a date that cannot be misread, e.g. ``21 November 2026``."""
        return f"{moment.day} {self(f'month.{moment.month}')} {moment.year}"

    def time(self, moment: datetime) -> str:
        """Return the time of day where the unit is."""
        return moment.astimezone().strftime("%H:%M")


@cache
def words_in(code: str) -> Words:
    """Return the sentences of a language.

    Raises:
        InputError: the kiosk does not speak it.
    """
    for language in LANGUAGES:
        if language.code == code:
            text = files(__name__).joinpath(f"{code}.json").read_text(encoding="utf-8")
            return Words(language, json.loads(text))
    spoken = ", ".join(language.code for language in LANGUAGES)
    raise InputError("the kiosk does not speak this language", value=code, fix=f"Choose one of {spoken}.")
