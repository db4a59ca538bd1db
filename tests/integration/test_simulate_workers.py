"""Heavy work in processes of their own: answers come back by name, failures come back as themselves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from eyebright_common.errors import EyebrightError, InputError
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.options import SimulationOptions
from eyebright_simulations.network.workers import Job, run_jobs


def square(context: Context) -> dict[str, Any]:
    context.update(1.0, "squared")
    return {"value": context.options.seed**2, "process": os.getpid()}


def wait(context: Context) -> dict[str, Any]:
    (context.out / "half").write_text(str(os.getpid()))
    (context.out / "half").rename(context.out / "worker")
    time.sleep(600)
    return {}


def refuse(context: Context) -> dict[str, Any]:
    raise InputError("the pictures are upside down", value=3, fix="Turn them.")


def die(context: Context) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def environment(context: Context) -> dict[str, Any]:
    return dict(os.environ)


def context(out: Path, seen: list[tuple[float, str]]) -> Context:
    return Context(
        options=SimulationOptions(seed=6), out=out, update=lambda share, note: seen.append((round(share, 3), note))
    )


def test_each_job_answers_under_its_name_from_its_own_process(tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    facts = run_jobs(
        context(tmp_path, seen),
        [Job(name="a", work=f"{__name__}:square"), Job(name="b", work=f"{__name__}:square", weight=3.0)],
    )
    assert {name: fact["value"] for name, fact in facts.items()} == {"a": 36, "b": 36}
    assert len({os.getpid(), facts["a"]["process"], facts["b"]["process"]}) == 3
    assert seen[-1] == (1.0, "squared")  # a quarter from one, three quarters from the other


def test_what_a_job_refuses_is_told_as_it_was_meant(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the pictures are upside down: 3\. Turn them\.") as caught:
        run_jobs(context(tmp_path, []), [Job(name="a", work=f"{__name__}:refuse")])
    assert caught.value.exit_code == 2


@pytest.mark.kill
def test_a_process_that_is_killed_is_explained(tmp_path: Path) -> None:
    with pytest.raises(EyebrightError, match=r"was ended.*--resume"):
        run_jobs(context(tmp_path, []), [Job(name="a", work=f"{__name__}:die")])


def test_the_process_that_workers_are_forked_from_has_no_threads() -> None:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    script = "import os, eyebright_simulations.network.warm; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_a_worker_has_the_variables_it_needs_and_the_caller_keeps_its_own(tmp_path: Path) -> None:
    before = dict(os.environ)
    facts = run_jobs(context(tmp_path, []), [Job(name="a", work=f"{__name__}:environment")])
    assert facts["a"]["OPENBLAS_NUM_THREADS"] == before.get("OPENBLAS_NUM_THREADS", "1")
    assert dict(os.environ) == before


@pytest.mark.kill
def test_workers_end_with_the_process_that_wanted_them(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
import test_simulate_workers as here
here.run_jobs(here.context(Path({str(tmp_path)!r}), []), [here.Job(name="a", work="test_simulate_workers:wait")])
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    caller = subprocess.Popen([sys.executable, "-c", script], env=environment)
    told = tmp_path / "worker"
    assert _within_a_minute(told.exists)
    worker = psutil.Process(int(told.read_text()))
    caller.kill()
    caller.wait()
    assert _within_a_minute(lambda: not worker.is_running())


def _within_a_minute(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)
    return happened()
