"""What a round costs beyond the training of its slowest hospital: messages, gate, ledger, disk, averaging.

    python benchmarks/round_overhead.py [--json]

* Three hospitals with a real MobileNetV2 and made-up pictures of the size of a rehearsal's, in this process, one after
  the other. Each training is timed where it happens; "slowest hospital" on a grid that runs one at a time is the sum of
  all.
* What a round costs beside training goes with the size of the student, not with the pictures: hospitals with fewer
  pictures, or smaller ones, have a larger ratio.
* Evaluation is a hospital's own work too and is timed with the training. The ratio is of the whole run of rounds.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from claim import Claim, asks_for_json, show

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
import eyebright_client.app.flower as hospital
from eyebright_server.federation import run_federation
from tiny_federation import tiny_initial, tiny_plan, tiny_site

ROUNDS = 2
ROWS, SIZE = 400, 96


class Timed:
    """A function that adds up the seconds it takes."""

    def __init__(self, function: Any) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function and time it."""
        started = time.perf_counter()
        try:
            return self.function(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    logging.disable(logging.CRITICAL)
    plan = tiny_plan(rounds=ROUNDS, batch_size=16, local_epochs=3, image_size=SIZE)
    work = [Timed(hospital.train_round), Timed(hospital.evaluate_global)]
    hospital.train_round, hospital.evaluate_global = work  # type: ignore[assignment]  # timed stand-ins
    with tempfile.TemporaryDirectory() as place:
        sites = [tiny_site(Path(place) / f"site-{i}", i, plan, rows=ROWS, size=SIZE) for i in range(3)]
        started = time.perf_counter()
        run_federation(plan=plan, initial=tiny_initial(plan), sites=sites, checkpoint=Path(place) / "rounds")
        wall = time.perf_counter() - started
    own = sum(each.seconds for each in work)
    claim = Claim(
        name="round_overhead",
        what=f"a round of three hospitals, {ROWS} pictures of {SIZE} px each, {plan.local_epochs} epochs",
        value=wall / ROUNDS,
        unit="s",
        baseline_name="the hospitals' own work in it",
        baseline_value=own / ROUNDS,
        target=1.10,
        target_on="ratio",
        runs=ROUNDS,
    )
    show([claim], as_json=as_json)


if __name__ == "__main__":
    main()
