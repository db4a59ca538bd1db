"""Whether this machine can take part: disk, memory, one timed piece of training, clock, the way to the server.

* Needed disk: the prepared pictures, the teacher with its targets, and a reserve. Needed memory: the prepared pictures
  and what training itself was seen to take.
* The training runs in a child process: what it loads is gone afterwards, and what kills it does not kill the doctor.
* Without a server given, clock and connection are not judged, and that is said.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

from eyebright_client.doctor.findings import Finding, Level
from eyebright_client.doctor.reach import reach
from eyebright_common.tasks import ScreeningTask

_SIZE = 224
_BATCH = 32
_TEACHER_BYTES = 400 * 1024 * 1024
_RESERVE_BYTES = 1024 * 1024 * 1024
_TARGET_BYTES = 16 * 1024
_STEP_TIMEOUT_S = 300
_SLOW_EPOCH_S = 3600
_FAST_S, _SLOW_S = 5.0, -300.0


def disk_finding(folder: Path, pictures: int) -> Finding:
    """Whether prepared pictures, teacher and targets fit on the disk of ``folder``."""
    free = shutil.disk_usage(folder).free
    needed = pictures * (_SIZE * _SIZE * 3 + _TARGET_BYTES) + _TEACHER_BYTES + _RESERVE_BYTES
    return _room("disk", "disk", free, needed, "Free some, or put the hospital's folder on another disk.")


def memory_finding(pictures: int, training_bytes: int) -> Finding:
    """Whether prepared pictures and training fit into what memory is left."""
    needed = pictures * _SIZE * _SIZE * 3 + max(training_bytes, 512 * 1024 * 1024)
    return _room("memory", "memory", _available_memory(), needed, "Close other programs, or take part with fewer rows.")


def _room(check: str, word: str, free: int, needed: int, fix: str) -> Finding:
    enough = free >= needed
    return Finding(
        check=check,
        level=Level.OK if enough else Level.STOP,
        sentence=f"{_gib(free)} GiB of {word} are free, about {_gib(needed)} GiB are needed.",
        fix="" if enough else fix,
        numbers={"free_bytes": free, "needed_bytes": needed},
    )


def _gib(count: int) -> str:
    return f"{count / 1024**3:.1f}"


def _available_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def step_finding(task: ScreeningTask, pictures: int, *, threads: int) -> tuple[Finding, int]:
    """Return how long a pass over the pictures would take here, and the memory that training took."""
    command = [sys.executable, "-m", "eyebright_client.doctor.timed_step", "--task", task.name]
    command += ["--size", str(_SIZE), "--batch", str(_BATCH), "--threads", str(threads)]
    try:
        ran = subprocess.run(command, capture_output=True, timeout=_STEP_TIMEOUT_S, check=True)
        measured = json.loads(ran.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        sentence = "A piece of training could not be run on this machine."
        fix = "Run `python -m eyebright_client.doctor.timed_step --task fundus` and see what it says."
        return Finding(check="timed_step", level=Level.STOP, sentence=sentence, fix=fix), 0
    seconds = float(measured["seconds_per_step"])
    epoch = seconds * math.ceil(pictures / _BATCH)
    slow = epoch > _SLOW_EPOCH_S
    finding = Finding(
        check="timed_step",
        level=Level.WARN if slow else Level.OK,
        sentence=f"A training step of {_BATCH} pictures takes {seconds:.2f} s here; one pass over {pictures} pictures "
        f"about {_minutes(epoch)}.",
        fix="Ask the operator for fewer passes per round, or use a machine with a GPU." if slow else "",
        numbers={**measured, "seconds_per_pass": round(epoch, 1), "threads": threads},
    )
    return finding, int(measured["peak_memory_bytes"])


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def server_findings(server: str | None, *, ca: Path | None) -> list[Finding]:
    """Whether the server answers over TLS, and whether the clocks agree.

    Raises:
        InputError: the address or the certificate file cannot be used.
    """
    if server is None:
        sentence = "No server was given (--server): the connection and the clock were not looked at."
        return [Finding(check="connection", level=Level.INFO, sentence=sentence)]
    found = reach(server, ca=ca)
    if found.trouble:
        sentence = f"The server cannot be reached over TLS: {found.trouble}."
        fix = "Ask your IT department to allow the outgoing connection; check --ca."
        return [Finding(check="connection", level=Level.STOP, sentence=sentence, fix=fix)]
    numbers = {"seconds": round(found.seconds, 2)}
    reached = Finding(check="connection", level=Level.OK, sentence="The server answers over TLS.", numbers=numbers)
    return [reached, _clock(found.skew_s)]


def _clock(skew: float | None) -> Finding:
    if skew is None:
        return Finding(check="clock", level=Level.INFO, sentence="The server does not say the time.")
    right = _SLOW_S < skew < _FAST_S
    return Finding(
        check="clock",
        level=Level.OK if right else Level.STOP,
        sentence=f"This clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's.",
        fix="" if right else "Switch time synchronisation (NTP) on: the server refuses what is signed in the future.",
        numbers={"skew_s": skew},
    )
