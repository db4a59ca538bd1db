"""Numbers and names as a person reads them.

* Shares are percentages with one decimal; differences are signed points with a true minus sign.
* Sizes are decimal (1 MB = 1,000,000 B), as networks and disks are sold.
* What is missing is an em dash; the template puts the reason beside it.
* Class names and reasons are snake_case words in the data and plain words on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eyebright_learning.evaluation.bootstrap import Interval
from eyebright_simulations.report.evidence import ArmName

MISSING = "—"
_MINUS = "\u2212"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_BRIEF = {"cnv": "CNV", "dme": "DME", "no_dme": "No DME", "ce": "CE", "kd": "KD", "dist": "DIST"}
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))

ARM_TITLES = {
    ArmName.STUDENT: "Federated student",
    ArmName.NO_DISTILLATION: "Without distillation",
    ArmName.BEST_LOCAL: "Best single hospital",
    ArmName.POOLED: "Pooled training",
    ArmName.TEACHER: "Teacher",
}


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share as a percentage: ``0.8734`` is ``87.3%``."""
    return MISSING if share is None else f"{100 * share:.{decimals}f}%"


def points(difference: float | None) -> str:
    """Return a difference of two shares in signed percentage points: ``0.042`` is ``+4.2 points``."""
    return MISSING if difference is None else f"{_signed(difference)} points"


def interval(found: Interval | None) -> str:
    """Return an interval of a share: ``81.2 to 90.4%``; empty when there is none."""
    return "" if found is None else f"{100 * found.lower:.1f} to {100 * found.upper:.1f}%"


def difference_interval(found: Interval | None) -> str:
    """Return an interval of a difference: ``+1.0 to +7.4``; empty when there is none."""
    return "" if found is None else f"{_signed(found.lower)} to {_signed(found.upper)}"


def count(number: int | None) -> str:
    """Return a whole number with thousands separated: ``5,418``."""
    return MISSING if number is None else f"{number:,}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 hospital``, ``3 hospitals``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int | None) -> str:
    """Return a number of bytes: ``9.3 MB``."""
    if number is None:
        return MISSING
    for unit, name in _UNITS:
        # The limit lies below the unit by half a printed digit, so that 999,960 B is 1.0 MB, never 1000.0 kB.
        if number >= unit * 0.99995:
            return f"{number / unit:.1f} {name}"
    return f"{number} B"


def duration(seconds: float | None) -> str:
    """Return a time: ``4.2 s``, ``3 min 12 s``, ``1 h 04 min``."""
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def decimal(number: float | str | None) -> str:
    """Return a value of no particular unit: three significant digits, whole numbers whole, words as they are."""
    if number is None:
        return MISSING
    if isinstance(number, str):
        return number
    if float(number).is_integer() and abs(number) < 1e15:
        return f"{int(number):,}".replace("-", _MINUS)
    mantissa, _, exponent = f"{number:.3g}".partition("e")
    power = f" \u00d7 10{str(int(exponent)).translate(_RAISED)}" if exponent else ""
    return mantissa.replace("-", _MINUS) + power


def plain(word: str) -> str:
    """Return a snake_case word as plain words with a capital: ``too_dark`` is ``Too dark``; ``a:b_c`` is ``A: b c``."""
    if word in _BRIEF:
        return _BRIEF[word]
    head, colon, tail = word.partition(":")
    text = head.replace("_", " ").strip() + (f": {tail.replace('_', ' ').strip()}" if colon else "")
    return text[:1].upper() + text[1:]


def in_words(word: str) -> str:
    """Return the same for the middle of a sentence: ``diabetic retinopathy``, but ``CNV``."""
    text = plain(word)
    return text if word in _BRIEF else text[:1].lower() + text[1:]


def listed(words: list[str]) -> str:
    """Return words as a list in a sentence: ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def metric_at(metrics: Mapping[str, Any] | None, path: str) -> float | None:
    """Return the number at a dotted path of a metrics object, e.g. ``referable.sensitivity``, or None."""
    value: Any = metrics
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def _signed(share: float) -> str:
    tenths = round(1000 * share)
    sign = _MINUS if tenths < 0 else "+" if tenths > 0 else "±"
    return f"{sign}{abs(tenths) / 10:.1f}"
