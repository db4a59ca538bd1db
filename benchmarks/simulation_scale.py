"""Two hundred simulated hospitals on this machine complete a round; what a hospital more costs in memory.

    python benchmarks/simulation_scale.py [--json]

* Real MobileNetV2 students at 32 pixels on a few made-up pictures each; messages are serialised as on a network.
* The baseline is the same training without a federation: the hospitals' own work, timed inside the same run. With eight
  pictures a hospital trains for half a second, so the ratio is that of messages and files to next to nothing;
  ``round_overhead`` has the ratio to a training. The limit is that the round is completed within ten minutes.
"""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from claim import Claim, asks_for_json, show
from round_overhead import Timed

HOSPITALS = 200
FEW = 20


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    seconds, own, peak, accepted = apart(HOSPITALS)
    few_peak = apart(FEW)[2]
    assert accepted == HOSPITALS, "a hospital was lost"
    time_claim = Claim(
        name="simulation_scale",
        what=f"one round of {HOSPITALS} hospitals",
        value=seconds,
        unit="s",
        baseline_name="the hospitals' own work in it",
        baseline_value=own,
        target=600.0,
        target_on="value",
        runs=1,
    )
    memory_claim = Claim(
        name="simulation_scale_memory",
        what=f"peak memory with {HOSPITALS} hospitals",
        value=peak,
        unit="MB",
        baseline_name=f"the same with {FEW}",
        baseline_value=few_peak,
        target=1.25,
        target_on="ratio",
        runs=1,
    )
    show([time_claim, memory_claim], as_json=as_json)


def apart(hospitals: int) -> list[float]:
    """Run a round in a process of its own; return seconds, own work, peak in MB and accepted replies."""
    command = [sys.executable, __file__, str(hospitals)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]


def one_round(hospitals: int) -> None:
    """Run one round and print its figures."""
    import eyebright_client.app.flower as hospital
    from eyebright_server.federation import run_federation
    from tiny_federation import tiny_initial, tiny_plan, tiny_site

    logging.disable(logging.CRITICAL)
    plan = tiny_plan(rounds=1)
    work = [Timed(hospital.train_round), Timed(hospital.evaluate_global)]
    hospital.train_round, hospital.evaluate_global = work
    with tempfile.TemporaryDirectory() as place:
        sites = [tiny_site(Path(place) / f"site-{i}", i, plan) for i in range(hospitals)]
        started = time.perf_counter()
        result = run_federation(plan=plan, initial=tiny_initial(plan), sites=sites, checkpoint=Path(place) / "rounds")
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(seconds, sum(each.seconds for each in work), peak, len(result.rounds[0].accepted))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].isdigit():
        one_round(int(sys.argv[1]))
    else:
        main()
