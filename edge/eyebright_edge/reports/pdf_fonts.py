"""Fonts for printed reports, found on this machine.

A report in Hindi or Arabic needs a font with that script. None is shipped: on Debian and Ubuntu the package
``fonts-noto-core`` (SIL Open Font Licence) has all of them. ``EYEBRIGHT_FONTS`` may name a folder to look in first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.errors import InputError

FONT_FOLDERS = (Path("/usr/share/fonts/truetype/noto"), Path("/usr/share/fonts/truetype/dejavu"))
_LATIN = (("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"), ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"))
_OF_SCRIPT = {
    "Latn": _LATIN,
    "Deva": (("NotoSansDevanagari-Regular.ttf", "NotoSansDevanagari-Bold.ttf"),),
    "Arab": (("NotoSansArabic-Regular.ttf", "NotoSansArabic-Bold.ttf"),),
}
SCRIPTS = {"en": "Latn", "es": "Latn", "hi": "Deva", "ar": "Arab"}
NAMES = {"en": "English", "es": "Spanish", "hi": "Hindi", "ar": "Arabic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Font:
    """One family: the script it is for, its regular and its bold file."""

    script: str
    regular: Path
    bold: Path


def fonts_for(language: str, environment: Mapping[str, str] = os.environ) -> tuple[Font, ...]:
    """Return the fonts for a report: the language's own first, then every other one found, for names in other scripts.

    Raises:
        InputError: this machine has no font for the language, or none with Latin letters for the numbers.
    """
    own = environment.get("EYEBRIGHT_FONTS")
    folders = (*((Path(own),) if own else ()), *FONT_FOLDERS)
    found = {script: font for script in _OF_SCRIPT if (font := _found(script, folders)) is not None}
    script = SCRIPTS[language]
    missing = [needed for needed in (script, "Latn") if needed not in found]
    if missing:
        raise InputError(
            f"a report in {NAMES[language]} needs a font that this machine does not have",
            value=" or ".join(regular for regular, _ in _OF_SCRIPT[missing[0]]),
            fix="Install the Debian package fonts-noto-core, or let EYEBRIGHT_FONTS name the folder with that file.",
        )
    return (found[script], *(font for name, font in found.items() if name != script))


def _found(script: str, folders: tuple[Path, ...]) -> Font | None:
    for regular, bold in _OF_SCRIPT[script]:
        for folder in folders:
            if (folder / regular).is_file() and (folder / bold).is_file():
                return Font(script=script, regular=folder / regular, bold=folder / bold)
    return None
