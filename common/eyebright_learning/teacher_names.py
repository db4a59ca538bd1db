"""Names of teachers, read without torch.

An ensemble's name lists its members: ``ensemble:NAME+NAME+NAME``. Any other name is one network's.
"""

from __future__ import annotations

from eyebright_common.errors import InputError

ENSEMBLE_PREFIX = "ensemble:"
BETWEEN_MEMBERS = "+"


def is_ensemble(name: str) -> bool:
    """Return whether the name is that of an ensemble."""
    return name.startswith(ENSEMBLE_PREFIX)


def teacher_members(name: str) -> tuple[str, ...]:
    """Return the names of the networks that make up a teacher: itself, or the members of an ensemble.

    Raises:
        InputError: an ensemble's name lists fewer than two, an empty one, or an ensemble.
    """
    if not is_ensemble(name):
        return (name,)
    names = tuple(name.removeprefix(ENSEMBLE_PREFIX).split(BETWEEN_MEMBERS))
    if len(names) < 2 or not all(names) or any(map(is_ensemble, names)):
        raise InputError(
            "not the name of an ensemble",
            value=name,
            fix=f"Write {ENSEMBLE_PREFIX}NAME+NAME, each the name of one teacher.",
        )
    return names
