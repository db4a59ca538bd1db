"""A hundred replies of MobileNetV2, from disk: how long the average takes, and what it holds in memory.

    python benchmarks/aggregation.py [--json]

* The replies are files, as accepted replies are. The baseline is a NumPy mean over the same arrays in memory, which
  needs all of them at once; it is taken over a tenth of the replies and multiplied, because a hundred do not fit.
* Memory is what the process's peak grows by while averaging, for 10 and for 100 replies.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from claim import Claim, asks_for_json, show

from eyebright_common import exchange
from eyebright_learning.models import build_student
from eyebright_server.federation.flower import StrategyAveraging
from eyebright_server.federation.records import Arrays, Reply
from eyebright_server.federation.reply_store import ReplyStore

REPLIES = 100
FEW = 10


def student() -> Arrays:
    """Return what travels of a MobileNetV2."""
    state = build_student("mobilenet_v2", classes=5, seed=0).state_dict()
    return {name: tensor.numpy() for name, tensor in state.items() if not exchange.is_counter(name)}


def write(folder: Path) -> None:
    """Write the replies as accepted ones are."""
    store, first = ReplyStore(folder), student()
    for site in range(REPLIES):
        arrays = {name: array + np.float32(1e-3 * site) for name, array in first.items()}
        reply = Reply(site=site, arrays=arrays, numbers={exchange.NUM_EXAMPLES: 100 + site})
        store.keep(reply, kind="train", round_number=1)


def averaged(folder: Path, count: int) -> tuple[float, float]:
    """Return seconds, and MB by which the peak grew; in a process of its own the peak is this average's."""
    store, first = ReplyStore(folder), student()
    replies = [store.lazily(site, kind="train", round_number=1) for site in range(count)]
    before, started = peak_mb(), time.perf_counter()
    StrategyAveraging("fedavg").combine(1, first, replies)
    return time.perf_counter() - started, peak_mb() - before


def naive(folder: Path) -> float:
    """Seconds of a NumPy mean over arrays in memory, for all replies."""
    store = ReplyStore(folder)
    held = [dict(store.lazily(site, kind="train", round_number=1).arrays.items()) for site in range(FEW)]
    started = time.perf_counter()
    for name in held[0]:
        np.mean([arrays[name] for arrays in held], axis=0, dtype=np.float64)
    return (time.perf_counter() - started) * REPLIES / FEW


def peak_mb() -> float:
    """Return the most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def apart(what: str, folder: Path) -> list[float]:
    """Do one part in a process of its own and return its numbers."""
    done = subprocess.run([sys.executable, __file__, what, str(folder)], check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        apart("write", folder)
        runs = sorted(apart("many", folder) for _ in range(3))
        few, many, plain = apart("few", folder), runs[1], apart("naive", folder)[0]
    timing = Claim(
        name="aggregation",
        what=f"averaging {REPLIES} MobileNetV2 replies from disk",
        value=many[0],
        unit="s",
        baseline_name="NumPy mean over arrays already in memory",
        baseline_value=plain,
        target=2.0,
        target_on="value",
        runs=3,
    )
    memory = Claim(
        name="aggregation_memory",
        what=f"peak memory of averaging {REPLIES} replies",
        value=max(many[1], 1.0),
        unit="MB",
        baseline_name=f"the same with {FEW} replies",
        baseline_value=max(few[1], 1.0),
        target=1.25,
        target_on="ratio",
        runs=3,
    )
    show([timing, memory], as_json=as_json)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        task, place = sys.argv[1], Path(sys.argv[2])
        if task == "write":
            write(place)
        elif task == "naive":
            print(naive(place))
        else:
            print(*averaged(place, REPLIES if task == "many" else FEW))
    else:
        main()
