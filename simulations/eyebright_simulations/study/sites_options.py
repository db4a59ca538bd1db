"""What a comparison of pooled with leave-one-site-out training is asked: a study of the control alone, no teacher."""

from __future__ import annotations

from dataclasses import dataclass

from eyebright_common.errors import InputError
from eyebright_simulations.study.arms import CONTROL
from eyebright_simulations.study.options import Kind, StudyOptions

_OF_TEACHERS = ("teachers", "teacher_weights", "teacher_epochs", "teacher_learning_rate", "feature_views", "weights")


@dataclass(frozen=True, slots=True, kw_only=True)
class SitesOptions(StudyOptions):
    """One comparison of sites.

    Attributes:
        kind: Always ``sites``.
        arms: The control, labels alone.
    """

    kind: Kind = "sites"
    arms: tuple[str, ...] = (CONTROL,)

    def identity(self) -> dict[str, object]:
        """Return everything that decides what a finished job means; there is no teacher to it."""
        # `super()` without arguments does not find its class in a dataclass with slots.
        return {name: value for name, value in StudyOptions.identity(self).items() if name not in _OF_TEACHERS}

    def check(self) -> None:
        """Refuse what cannot work before anything is computed.

        Raises:
            InputError: naming the option, its value and what it may be.
        """
        StudyOptions.check(self)
        if self.seeds != 1:
            raise InputError("a comparison of sites trains one student per fold and site", value=self.seeds)
