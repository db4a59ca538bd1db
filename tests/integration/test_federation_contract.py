"""The driver's contract over the grid in this process and Flower's simulation engine.

Over the real SuperLink: ``tests/e2e/test_federation_processes.py``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from driver_contract import DriverContract

SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.fixture(scope="module", params=[pytest.param("local"), pytest.param("ray", marks=pytest.mark.slow)])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the contract's runs; in a process of its own, because Ray leaves children behind."""
    command = [sys.executable, SUPPORT / "contract_runs.py", request.param, tmp_path_factory.mktemp(request.param)]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, env=os.environ.copy())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class TestOverFolders(DriverContract):
    """Hospitals are folders on this machine."""
