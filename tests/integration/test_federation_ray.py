"""Flower's simulation engine and our own grid are the same arithmetic."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eyebright_server.federation import FederationResult, run_federation
from tiny_federation import TEACHER, tiny_initial, tiny_plan, tiny_site, tiny_teacher

SUPPORT = Path(__file__).resolve().parents[1] / "support"

# In a process of its own: Ray leaves children and open pipes behind for the interpreter's end to collect.
WITH_RAY = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny_federation import tiny_initial
from eyebright_common.plan import Plan
from eyebright_server.federation import run_federation

plan, before = Plan.from_json(sys.argv[2]), dict(os.environ)
run_federation(plan=plan, initial=tiny_initial(plan), sites=[Path(p) for p in sys.argv[4:]], backend="ray",
               checkpoint=Path(sys.argv[3]))
assert dict(os.environ) == before, "the environment is given back"
"""


@pytest.mark.slow
def test_ray_and_local_give_the_same_students_records_and_bytes(tmp_path: Path) -> None:
    digest = tiny_teacher(tmp_path / "teacher.safetensors")
    plan = tiny_plan(teacher_sha256=digest, teacher_arch=TEACHER, recipe={})

    def sites(backend: str) -> list[Path]:
        folders = [tiny_site(tmp_path / backend / f"site-{i}", i, plan, rows=8 + 2 * i) for i in range(2)]
        for folder in folders:
            (folder / "teacher.safetensors").write_bytes((tmp_path / "teacher.safetensors").read_bytes())
        return folders

    def run(backend: str, folders: list[Path]) -> FederationResult:
        place = tmp_path / f"rounds-{backend}"
        return run_federation(plan=plan, initial=tiny_initial(plan), sites=folders, checkpoint=place)

    far = sites("ray")
    command = [sys.executable, "-c", WITH_RAY, SUPPORT, plan.canonical_json(), tmp_path / "rounds-ray", *far]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True, env=os.environ.copy())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    local, ray = run("local", sites("local")), run("ray", far)
    assert ray.resumed_after == plan.rounds, "nothing was left to do for the grid in this process"
    for name, array in local.final_weights.items():
        np.testing.assert_allclose(ray.final_weights[name], array, atol=1e-5, rtol=0)
    for here, there in zip(local.rounds, ray.rounds, strict=True):
        assert (here.bytes_up, here.bytes_down) == (there.bytes_up, there.bytes_down)
        assert here.accepted == there.accepted == (0, 1)
        assert here.metrics["n"] == there.metrics["n"] == 16
