"""One measured claim, printed for a person or a machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One line of a benchmark.

    Attributes:
        name: The script's name, with what is measured.
        what: In words.
        value: What was measured.
        unit: Of ``value`` and of the baseline.
        baseline_name: What it is compared with.
        baseline_value: Measured in the same run.
        target: The limit, for ``value`` or for the ratio, as ``target_on`` says.
        target_on: ``value`` or ``ratio``.
        runs: How many measurements the value is the median of.
    """

    name: str
    what: str
    value: float
    unit: str
    baseline_name: str
    baseline_value: float
    target: float
    target_on: str
    runs: int

    @property
    def ratio(self) -> float:
        """The value as a multiple of the baseline."""
        return self.value / self.baseline_value

    @property
    def met(self) -> bool:
        """Whether the limit was kept."""
        return (self.ratio if self.target_on == "ratio" else self.value) <= self.target

    def as_json(self) -> dict[str, Any]:
        """Return the claim in the project's benchmark format."""
        facts = asdict(self)
        baseline = {"name": facts.pop("baseline_name"), "value": facts.pop("baseline_value")}
        return {**facts, "baseline": baseline, "ratio": self.ratio, "met": self.met, "machine": machine()}


def asks_for_json(description: str | None) -> bool:
    """Return whether the command line has ``--json``, the only option of most benchmarks."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print for machines")
    return bool(parser.parse_args().json)


def machine() -> dict[str, Any]:
    """Return what the measurement ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": len(os.sched_getaffinity(0)), "cpu": platform.processor() or _cpu(), "memory_bytes": memory}


def show(claims: Sequence[Claim], *, as_json: bool) -> None:
    """Print the claims."""
    if as_json:
        print(json.dumps([claim.as_json() for claim in claims], indent=1))
        return
    for claim in claims:
        limit = f"{claim.target:g} {claim.unit if claim.target_on == 'value' else 'times'}"
        print(
            f"{claim.name}: {claim.what}: {claim.value:.3g} {claim.unit}; {claim.baseline_name}: "
            f"{claim.baseline_value:.3g} {claim.unit}; ratio {claim.ratio:.2f}; limit {limit}: "
            f"{'met' if claim.met else 'NOT met'} ({claim.runs} runs)"
        )


def _cpu() -> str:
    try:
        with Path("/proc/cpuinfo").open() as lines:  # Linux says it here; elsewhere the architecture has to do
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
