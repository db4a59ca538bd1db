"""Programs are kept running, and end with whoever keeps them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from eyebright_common.supervision import Program, Supervisor

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


def sleeping(log: Path, name: str = "sleeper", command: tuple[str, ...] = SLEEPER) -> Program:
    return Program(name=name, command=command, log=log / f"{name}.log")


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.02)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_program_is_started_again_after_its_pause(tmp_path: Path) -> None:
    clock = Clock()
    supervisor = Supervisor([sleeping(tmp_path)], clock=clock)
    try:
        supervisor.check()
        first = supervisor.pids()["sleeper"]
        os.kill(first, signal.SIGKILL)
        until(lambda: not supervisor.pids())
        supervisor.check()
        assert supervisor.pids() == {}, "the pause is not over"
        clock.now = 1.0
        supervisor.check()
        assert supervisor.pids()["sleeper"] != first
        assert supervisor.restarts("sleeper") == 1
    finally:
        supervisor.stop()


def test_what_is_to_be_done_after_a_program_ended_is_done_before_it_starts_again(tmp_path: Path) -> None:
    clock, done = Clock(), list[dict[str, int]]()
    ending = (sys.executable, "-c", "raise SystemExit(3)")
    supervisor: Supervisor
    program = Program(name="a", command=ending, log=tmp_path / "a.log", after=lambda: done.append(supervisor.pids()))
    supervisor = Supervisor([program], clock=clock)
    supervisor.check()
    until(lambda: not supervisor.pids())
    assert done == []
    supervisor.check()
    assert done == [{}]
    supervisor.stop()


def test_pauses_grow_while_a_program_keeps_ending_and_never_beyond_a_minute(tmp_path: Path) -> None:
    clock, said = Clock(), list[str]()
    program = sleeping(tmp_path, command=(sys.executable, "-c", "raise SystemExit(3)"))
    supervisor = Supervisor([program], clock=clock, on_event=said.append)
    for _ in range(8):
        supervisor.check()
        until(lambda: not supervisor.pids())
        supervisor.check()
        clock.now += 60.0
    pauses = [int(line.rpartition("in ")[2].split()[0]) for line in said if "starts again" in line]
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) <= 60
    supervisor.stop()


def test_stopping_ends_every_program_also_one_that_ignores_the_request(tmp_path: Path) -> None:
    stubborn = (
        sys.executable,
        "-c",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True); time.sleep(600)",
    )
    supervisor = Supervisor([sleeping(tmp_path), sleeping(tmp_path, "stubborn", stubborn)])
    supervisor.check()
    pids = list(supervisor.pids().values())
    until(lambda: "ready" in (tmp_path / "stubborn.log").read_text())
    supervisor.stop(grace_s=0.2)
    assert supervisor.pids() == {}
    assert not any(alive(pid) for pid in pids)


def test_programs_end_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from eyebright_common.supervision import Program, Supervisor\n"
        f"s = Supervisor([Program(name='a', command={SLEEPER!r}, log=Path({str(tmp_path)!r}) / 'a.log')])\n"
        "s.check(); print(s.pids()['a'], flush=True); time.sleep(600)"
    )
    keeper = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert keeper.stdout is not None
    child = int(keeper.stdout.readline())
    until(lambda: "sleep" in Path(f"/proc/{child}/cmdline").read_text())
    keeper.kill()
    keeper.wait()
    keeper.stdout.close()
    until(lambda: not alive(child))
