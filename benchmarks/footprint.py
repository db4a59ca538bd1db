"""What a unit costs before anything happens: resident memory and time to the first answer, from a cold start.

Each run is a fresh process that imports ``eyebright_edge``, verifies and loads a MobileNetV2 release and screens one
picture of 2048 × 2048 pixels. Baseline, in the same run: a fresh process with Python, NumPy and ONNX Runtime imported.

Then the unit as it stands in a clinic: the agent as a service, after it has installed that release from a repository,
and the kiosk, after a visit with a picture of each eye and a look at every page; what both hold resident at the same
moment, libraries that both use counted once. Both are the commands that the services start.

Run: ``python benchmarks/footprint.py [--json]``
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

from claim import Claim, asks_for_json, show
from enrolled_unit import PIN, TECHNICIAN, make_enrolled_unit
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


def _unit_in_a_clinic(folder: Path, release: Path, picture: Path) -> tuple[float, float, float]:
    """Return what agent, kiosk, and both together hold resident at the same moment, MB."""
    home = make_enrolled_unit(folder, release)
    with (
        _running("agent", "--home", str(home)) as agent,
        _running("kiosk", "--home", str(home), "--port", "0") as kiosk,
    ):
        said = _line(agent)
        assert said.startswith("installed"), said
        _hold_visit(_line(kiosk).split()[-1].rstrip("/"), picture.read_bytes())
        return _resident_mb(agent.pid), _resident_mb(kiosk.pid), _resident_mb(agent.pid, kiosk.pid)


@contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[str]]:
    whole = [sys.executable, "-m", "eyebright_common", "edge", *command]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(whole, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _hold_visit(address: str, picture: bytes) -> None:
    browser = build_opener(HTTPCookieProcessor())

    def post(path: str, content: bytes, kind: str) -> str:
        headers = {"Origin": address, "Content-Type": kind}
        with browser.open(Request(f"{address}{path}", data=content, headers=headers)) as answer:
            return str(answer.read().decode())

    def form(path: str, **fields: str) -> str:
        return post(path, urlencode(fields).encode(), "application/x-www-form-urlencoded")

    form("/unlock", technician=TECHNICIAN, pin=PIN)
    form("/visit/new", patient="P-1")
    form("/visit/1/checklist", consent="yes", age="54", symptoms="no", treatment="no", diabetes="yes")
    said = ""
    for eye in "RL":
        # Another file for the other eye, and the same picture.
        body = (
            f'--cut\r\nContent-Disposition: form-data; name="eye"\r\n\r\n{eye}\r\n--cut\r\n'
            'Content-Disposition: form-data; name="file"; filename="eye.jpg"\r\n\r\n'
        ).encode()
        said = post(
            "/visit/1/picture", body + picture + eye.encode() + b"\r\n--cut--\r\n", "multipart/form-data; boundary=cut"
        )
    assert 'class="answer' in said, said[:2000]
    for page in ("/", "/history", "/unit", "/leaves"):
        browser.open(f"{address}{page}").close()


def _resident_mb(*processes: int) -> float:
    """Return what processes hold resident together, MB: their own pages, and of each mapped file the most one holds.

    Not Linux's PSS: that divides libraries among all programs on the machine, of which a unit has no others.
    """
    own, files = 0, Counter[str]()
    for process in processes:
        mapped: Counter[str] = Counter()
        where = ""
        for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                where = f"{words[5]} {words[2]}" if len(words) > 5 and words[5].startswith("/") else ""
            elif words[0] == "Rss:":
                mapped[where] += int(words[1])
            elif words[0] == "Anonymous:":
                own += int(words[1])
                mapped[where] -= int(words[1])
        files |= mapped
    return (own + files.total()) * 1024 / 1e6


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        release, picture = make_unit_release(Path(folder))
        agent, kiosk, both = _unit_in_a_clinic(Path(folder), release, picture)
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
            Claim(
                name="footprint.clinic",
                what=f"agent ({agent:.0f} alone) and kiosk ({kiosk:.0f} alone) together, after an update and a visit",
                value=both,
                unit="MB",
                baseline_name=imported,
                baseline_value=baseline[1],
                target=LIMIT_MB,
                target_on="value",
                runs=1,
            ),
        ],
        as_json=as_json,
    )


if __name__ == "__main__":
    main()
