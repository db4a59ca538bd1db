"""From clues to a verdict in words, with the limits it goes by.

========================  ======================================================================================
``CLASS_IS_SOURCE``       source and label share ``CLASS_IS_SOURCE_SHARE`` of the label's information or more: every
                          class comes from its own source. No figure on such data shows that disease is seen.
``STRONG``                a clue that cannot hold disease reaches ``STRONG_EXCESS`` of the way from chance to
                          certainty, or a class has its sources for itself
``WEAK``                  the same with ``WEAK_EXCESS``; or image statistics, which may hold disease, reach it
``NONE``                  nothing of this kind was found
========================  ======================================================================================

A clue counts only when its whole interval lies above chance. ``NONE`` is not a certificate: what the manifest does not
say cannot be audited.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from eyebright_learning.audit.clues import CLUE_WORDS, CLUES, Clue
from eyebright_learning.audit.mutual_information import SharedInformation

CLASS_IS_SOURCE_SHARE = 0.90
STRONG_EXCESS = 0.25
WEAK_EXCESS = 0.10


class Level(StrEnum):
    """How loud the verdict is, loudest first."""

    CLASS_IS_SOURCE = "class_is_source"
    STRONG = "strong"
    WEAK = "weak"
    NONE = "none"


HEADLINES = {
    Level.CLASS_IS_SOURCE: "CLASS IS SOURCE: no figure measured on this data shows that disease is seen",
    Level.STRONG: "STRONG SHORTCUT: a model can score high without seeing disease",
    Level.WEAK: "Weak shortcut: report per site, and leave one site out",
    Level.NONE: "No shortcut found in what the manifest and the files say",
}

_ORDER = list(Level)


def level_of(clues: Sequence[Clue], shared: SharedInformation | None, exclusive: Sequence[str]) -> Level:
    """Return the verdict.

    Args:
        clues: What was measured.
        shared: Information that site and label share; None without sites.
        exclusive: Classes whose sources hold no other class, where there are other classes elsewhere.
    """
    found = [_level_of_clue(clue) for clue in clues]
    if exclusive:
        found.append(Level.STRONG)
    if shared is not None and shared.share is not None and shared.share >= CLASS_IS_SOURCE_SHARE:
        found.append(Level.CLASS_IS_SOURCE)
    return min(found, key=_ORDER.index, default=Level.NONE)


def sentences(clues: Sequence[Clue], shared: SharedInformation | None, exclusive: Sequence[str]) -> list[str]:
    """Return what was found, one plain sentence each, most telling first."""
    said: list[str] = []
    if shared is not None and shared.share is not None and shared.share >= CLASS_IS_SOURCE_SHARE:
        said.append(
            f"The site of a picture carries {shared.share:.0%} of the information in its label: each class comes from "
            "its own source. Collect every class at every site; until then no accuracy on this data means anything."
        )
    if exclusive:
        named = ", ".join(label.replace("_", " ") for label in exclusive)
        said.append(f"Sources with one class only: every picture of {named} comes from one of them.")
    telling = [clue for clue in clues if _level_of_clue(clue) is not Level.NONE]
    said += [_sentence(clue) for clue in sorted(telling, key=lambda clue: -(clue.excess or 0.0))]
    return said or ["Neither source nor file nor image statistics predict the label much better than a guess."]


def _level_of_clue(clue: Clue) -> Level:
    if not clue.beats_chance or clue.excess is None or clue.excess < WEAK_EXCESS:
        return Level.NONE
    return Level.WEAK if clue.excess < STRONG_EXCESS or CLUES[clue.name] else Level.STRONG


def _sentence(clue: Clue) -> str:
    found = clue.balanced_accuracy
    assert found is not None
    assert found.value is not None
    assert found.interval is not None
    words = CLUE_WORDS[clue.name]
    start = words[0].upper() + words[1:]
    ending = (
        "some of this may be disease itself, the rest is how pictures were taken."
        if CLUES[clue.name]
        else "a model can score high without seeing disease."
    )
    verb = "predict" if words.endswith("s") or " and " in words else "predicts"
    return (
        f"{start} alone {verb} the label at {found.value:.2f} balanced accuracy "
        f"({found.interval.lower:.2f} to {found.interval.upper:.2f}; chance {clue.chance:.2f}): {ending}"
    )
