"""The benchmark of the doctor, with a few photographs: it measures what it says it measures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "doctor_time.py"


def benchmark(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.kill
def test_time_memory_and_a_resumed_run_are_measured() -> None:
    done = benchmark("--images", 64, "--json")
    assert done.returncode == 0, done.stderr
    whole, memory, resume = json.loads(done.stdout)
    assert [claim["name"] for claim in (whole, memory, resume)] == [
        "doctor_time",
        "doctor_time.memory",
        "doctor_time.resume",
    ]
    assert "64 measured" in whole["what"]
    assert all(claim["value"] > 0 and claim["baseline"]["value"] > 0 for claim in (whole, memory, resume))
    killed_with = int(resume["what"].split("with ")[1].split(" of ")[0])
    assert 32 <= killed_with < 64


def test_too_few_photographs_are_refused_in_one_line() -> None:
    done = benchmark("--images", 3)
    assert done.returncode == 2
    assert "--images must be at least 48" in done.stderr
