"""What a cross-validation is asked to do: a study with one teacher, one distilled student and a number of looks."""

from __future__ import annotations

from dataclasses import dataclass

from eyebright_common.errors import InputError
from eyebright_simulations.study.options import Kind, StudyOptions

DISTILLED = "kd"
OCT_RECIPE = "oct-convnext"
MOST_LOOKS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossvalOptions(StudyOptions):
    """One cross-validation.

    Attributes:
        kind: Always ``crossval``.
        task: As in ``StudyOptions``.
        recipe: As in ``StudyOptions``.
        teachers: The one teacher.
        arms: The one arm there is.
        test_views: Looks at a picture in the columns with test-time augmentation, the plain one included.
    """

    kind: Kind = "crossval"
    task: str = "oct"
    recipe: str = OCT_RECIPE
    teachers: tuple[str, ...] = ("convnextv2_atto",)
    arms: tuple[str, ...] = (DISTILLED,)
    test_views: int = 5

    def check(self) -> None:
        """Refuse what cannot work before anything is computed.

        Raises:
            InputError: naming the option, its value and what it may be.
        """
        # `super()` without arguments does not find its class in a dataclass with slots.
        StudyOptions.check(self)
        if self.recipe != OCT_RECIPE:
            raise InputError(
                "a cross-validation follows the OCT recipe",
                value=self.recipe,
                fix=f"Leave --recipe out, or use `eyebright study ablation --recipe {self.recipe}`.",
            )
        if self.seeds != 1:
            raise InputError("a cross-validation trains one student per fold", value=self.seeds)
        if not 2 <= self.test_views <= MOST_LOOKS:
            raise InputError("--test-views is out of range", value=self.test_views, fix=f"Use 2 to {MOST_LOOKS}.")
