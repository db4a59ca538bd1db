"""What a unit costs before anything happens: resident memory and time to the first answer, from a cold start.

Each run is a fresh process that imports ``eyebright_edge``, verifies and loads a MobileNetV2 release and screens one
picture of 2048 × 2048 pixels. Baseline, in the same run: a fresh process with Python, NumPy and ONNX Runtime imported.

Run: ``python benchmarks/footprint.py [--json]``
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from claim import Claim, asks_for_json, show
from unit_release import make_unit_release

RUNS = 5
LIMIT_MB = 250.0
LIMIT_S = 3.0

_MEMORY = """
import json, resource
resident = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
print(json.dumps({"resident": resident, "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""
_BASELINE = f"import numpy, onnxruntime\n{_MEMORY}"
_UNIT = f"""
import sys
from pathlib import Path
from eyebright_edge.screening import open_release, screen_picture
opened = open_release(Path(sys.argv[1]))
picture = screen_picture(opened.runtime, opened.release, Path(sys.argv[2]))
assert picture.decision.score is not None, picture.decision
{_MEMORY}"""


def _measure(program: str, *arguments: Path) -> tuple[float, float, float]:
    """Return seconds from start to end of a fresh process, its resident and its peak memory in MB."""
    start = time.perf_counter()
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    facts = json.loads(done.stdout)
    return seconds, facts["resident"] / 1e6, facts["peak"] / 1e6


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        release, picture = make_unit_release(Path(folder))
        pairs = [(_measure(_UNIT, release, picture), _measure(_BASELINE)) for _ in range(RUNS)]
    unit, baseline = (
        [statistics.median(run[i] for run in runs) for i in range(3)] for runs in zip(*pairs, strict=True)
    )
    imported = "Python with NumPy and ONNX Runtime imported"

    def claim(name: str, what: str, unit_of: str, column: int, target: float) -> Claim:
        return Claim(
            name=f"footprint.{name}",
            what=what,
            value=unit[column],
            unit=unit_of,
            baseline_name=imported,
            baseline_value=baseline[column],
            target=target,
            target_on="value",
            runs=RUNS,
        )

    show(
        [
            claim("cold_first_result", "cold start to the first answer", "s", 0, LIMIT_S),
            claim("resident", "resident after the first answer", "MB", 1, LIMIT_MB),
            claim("peak", "largest resident size on the way there", "MB", 2, LIMIT_MB),
        ],
        as_json=as_json,
    )


if __name__ == "__main__":
    main()
