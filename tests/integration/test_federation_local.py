"""Real students, real hospitals' folders, rounds in this process."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyebright_client.app.site import Site
from eyebright_client.app.work import train_round
from eyebright_client.audit import verify
from eyebright_common.errors import FederationError, InputError
from eyebright_common.plan import Plan
from eyebright_server.federation import FederationEvent, FederationResult, run_federation
from eyebright_server.federation.checkpoint import weights_digest
from tiny_federation import TEACHER, tiny_initial, tiny_plan, tiny_site, tiny_teacher


class Killed(BaseException):
    """Stands in for a power cut at the server."""


ONE_ROUND = tiny_plan(rounds=1)
THREE_ROUNDS = tiny_plan(rounds=3)


def run(folder: Path, sites: list[Path], *, plan: Plan = THREE_ROUNDS, **options: Any) -> FederationResult:
    return run_federation(plan=plan, initial=tiny_initial(plan), sites=sites, checkpoint=folder, **options)


def two_sites(folder: Path) -> list[Path]:
    """Hospitals that approve both plans of this file."""
    return [tiny_site(folder / f"site-{i}", i, THREE_ROUNDS, ONE_ROUND, rows=8 + 4 * i) for i in range(2)]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> FederationResult:
    """The run that nothing interrupted; its checkpoint is beside its sites."""
    folder = tmp_path_factory.mktemp("straight")
    return run(folder / "rounds", two_sites(folder))


def test_a_run_killed_after_its_first_round_ends_with_the_same_bits(tmp_path: Path, straight: FederationResult) -> None:
    def power_cut(event: FederationEvent) -> None:
        if (event.kind, event.round) == ("trained", 2):
            raise Killed

    sites = two_sites(tmp_path)
    with pytest.raises(Killed):
        run(tmp_path / "cut", sites, on_event=power_cut)
    resumed = run(tmp_path / "cut", sites)
    assert resumed.resumed_after == 1
    assert weights_digest(resumed.final_weights) == weights_digest(straight.final_weights)
    assert weights_digest(resumed.weights) == weights_digest(straight.weights)
    assert [r.metrics for r in resumed.rounds] == [r.metrics for r in straight.rounds]
    # The process that takes over asks for the hospitals' numbers once more; nothing else is sent twice.
    assert resumed.rounds[1].bytes_up >= straight.rounds[1].bytes_up
    assert all(verify(site) > 0 for site in sites)


def test_training_changes_the_student_and_the_counters_stay_at_home(straight: FederationResult) -> None:
    initial = tiny_initial(tiny_plan(rounds=3))
    assert straight.final_weights.keys() == initial.keys()
    assert not any(name.endswith("num_batches_tracked") for name in straight.final_weights)
    assert any((straight.final_weights[name] != initial[name]).any() for name in initial)
    assert {array.dtype for array in straight.final_weights.values()} == {np.dtype("float32")}


def test_only_the_student_travels(straight: FederationResult) -> None:
    student = sum(array.nbytes for array in straight.final_weights.values())
    _, second, _ = straight.rounds
    assert 2 * student <= second.bytes_up <= 2 * student * 1.03, "each of two hospitals answers with one student"
    assert 4 * student <= second.bytes_down <= 4 * student * 1.03, "sent to train and again to evaluate"


def test_a_hospital_that_did_not_approve_is_left_out_and_the_run_completes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    sites = [*two_sites(tmp_path), tiny_site(tmp_path / "no", 2, ONE_ROUND, approve=False)]
    (record,) = run(tmp_path / "run", sites, plan=ONE_ROUND).rounds
    assert record.refused == (2,)
    assert record.accepted == (0, 1)
    assert verify(tmp_path / "no") == 2 * 3, "every question it was asked is in its log"


def test_a_hospital_with_damaged_pictures_is_written_down_and_the_run_completes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    sites = [*two_sites(tmp_path), tiny_site(tmp_path / "bad", 2, ONE_ROUND)]
    (sites[2] / "train.npz").write_bytes(b"not a zip")
    (record,) = run(tmp_path / "run", sites, plan=ONE_ROUND).rounds
    assert [(s.site, s.reason) for s in record.quarantined] == [(2, "site_unusable")]


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    sites = two_sites(tmp_path)
    run(tmp_path / "run", sites, plan=ONE_ROUND)
    other = tiny_plan(rounds=1, learning_rate=0.5)
    with pytest.raises(FederationError, match="another run"):
        run_federation(plan=other, initial=tiny_initial(other), sites=sites, checkpoint=tmp_path / "run")


def test_an_unknown_backend_and_a_missing_site_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown backend: spark"):
        run(tmp_path / "run", [tmp_path], backend="spark")
    with pytest.raises(InputError, match="site directory does not exist"):
        run(tmp_path / "run", [tmp_path / "nowhere"])


def test_the_teacher_is_run_once_and_its_targets_are_kept(tmp_path: Path) -> None:
    digest = tiny_teacher(tmp_path / "teacher.safetensors")
    plan = tiny_plan(teacher_sha256=digest, teacher_arch=TEACHER, recipe={})
    site = tiny_site(tmp_path / "site", 0, plan)
    (tmp_path / "teacher.safetensors").rename(site / "teacher.safetensors")
    first = train_round(Site.open(site), plan, tiny_initial(plan), round_number=1, threads=1)
    (site / "teacher.safetensors").unlink()
    again = train_round(Site.open(site), plan, tiny_initial(plan), round_number=1, threads=1)
    assert weights_digest(first.arrays) == weights_digest(again.arrays)
    assert {"ce", "kd", "dist"} <= first.losses.keys()


def test_a_teacher_that_is_not_the_plans_is_not_used(tmp_path: Path) -> None:
    plan = tiny_plan(teacher_sha256="0" * 64, teacher_arch=TEACHER, recipe={})
    site = tiny_site(tmp_path / "site", 0, plan)
    tiny_teacher(site / "teacher.safetensors")
    with pytest.raises(InputError, match="not the one the plan names"):
        train_round(Site.open(site), plan, tiny_initial(plan), round_number=1, threads=1)


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
sys.path.insert(0, sys.argv[1])
from tiny_federation import tiny_initial, tiny_plan
from eyebright_server.federation import run_federation

def kill(event):
    if (event.kind, event.round) == ("trained", 2):
        os.kill(os.getpid(), signal.SIGKILL)

plan = tiny_plan(rounds=3)
run_federation(plan=plan, initial=tiny_initial(plan), sites=[Path(p) for p in sys.argv[3:]],
               checkpoint=Path(sys.argv[2]), on_event=kill)
"""


@pytest.mark.kill
def test_a_killed_process_resumes_with_the_same_bits(tmp_path: Path, straight: FederationResult) -> None:
    sites = two_sites(tmp_path)
    support = str(Path(__file__).resolve().parents[1] / "support")
    command = [sys.executable, "-c", KILLED, support, str(tmp_path / "cut"), *map(str, sites)]
    assert subprocess.run(command, check=False, env=os.environ.copy()).returncode == -signal.SIGKILL
    assert len(json.loads((tmp_path / "cut" / "federation.json").read_text())["rounds"]) == 1
    resumed = run(tmp_path / "cut", sites)
    assert weights_digest(resumed.final_weights) == weights_digest(straight.final_weights)
    assert all(verify(site) > 0 for site in sites)
