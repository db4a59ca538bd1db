"""What a server decides about its rounds; none of it changes what a hospital computes, so none of it is in the plan."""

from __future__ import annotations

from dataclasses import dataclass

from eyebright_common.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRules:
    """The server's rules for the rounds of a run.

    Attributes:
        quorum: Fewest accepted replies that are averaged; None is half of the hospitals, at least one.
        attempts: How often a round is tried in one go before the run stops. Accepted replies are kept between tries.
        patience: Rounds without a better student after which the run ends; 0 goes on to the last round.
        round_budget: Rounds after which the run ends, if the plan has more; None for all.
        offences: Bad replies after which a hospital is no longer asked, until the operator lifts it; 0 for never.
        outlier_mads: An update further from the cohort's median than so many deviations (1.4826 MAD) is set aside,
        outlier_floor: and longer than so many times the median. Honest hospitals differ in size and in camera: this is
            a bar for what cannot be training, not for what is unusual.
        least_cohort: Replies needed before they can be compared with each other.
        smallest_count: Cells of a hospital's table between 1 and this are not shown; 0 shows all.
        calibrate: Whether the hospitals are asked, after the last round, for the best student's temperature.
    """

    quorum: int | None = None
    attempts: int = 2
    patience: int = 0
    round_budget: int | None = None
    offences: int = 3
    outlier_mads: float = 4.0
    outlier_floor: float = 5.0
    least_cohort: int = 4
    smallest_count: int = 5
    calibrate: bool = False

    def __post_init__(self) -> None:
        for name, least in (("attempts", 1), ("patience", 0), ("offences", 0), ("smallest_count", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}", value=getattr(self, name), fix="Correct it.")
        for name in ("quorum", "round_budget"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(
                    f"{name} must be at least 1", value=getattr(self, name), fix="Leave it out, or raise it."
                )

    def quorum_of(self, hospitals: int) -> int:
        """Return how many of ``hospitals`` must answer well.

        Raises:
            InputError: more are asked for than there are.
        """
        if self.quorum is None:
            return max(1, (hospitals + 1) // 2)
        if self.quorum > hospitals:
            fix = "Lower --quorum, or ask more hospitals."
            found = f"{self.quorum} of {hospitals} hospitals"
            raise InputError("the quorum is larger than the run", value=found, fix=fix)
        return self.quorum
