"""Every way in which the worker can fail, through real child processes: each has a name, none takes the unit along."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from eyebright_common.errors import EyebrightError, GoldenMismatch
from eyebright_edge.runtime.settings import Patience, RuntimeSettings
from eyebright_edge.runtime.tensorrt import open_tensorrt, probe_tensorrt
from eyebright_edge.runtime.worker_process import WorkerFailed, WorkerProcess
from fake_tensorrt_board import board
from tiny_release import write_tiny_release


def failure_of(tmp_path: Path, **how: Any) -> WorkerFailed:
    write_tiny_release(tmp_path / "release")
    with pytest.raises(WorkerFailed) as caught:
        open_tensorrt(tmp_path / "release", board(tmp_path, **how), build=True)
    return caught.value


def started(settings: RuntimeSettings) -> WorkerProcess:
    return WorkerProcess(
        settings.board_python, memory_limit_bytes=8 << 30, silence_s=60, environment=settings.environment
    )


@pytest.mark.parametrize(
    ("cuda", "word"), [("no-driver", "no-cuda"), ("broken", "no-cuda"), ("no-device", "no-device")]
)
def test_cuda_is_asked_before_tensorrt_is_touched(tmp_path: Path, cuda: str, word: str) -> None:
    # A tensorrt that ends the process when it is imported: it must not come to that.
    settings = board(tmp_path, cuda_fault=cuda)
    (tmp_path / "packages" / "tensorrt" / "__init__.py").write_text("import os\nos._exit(99)\n")
    with pytest.raises(WorkerFailed) as caught:
        probe_tensorrt(settings)
    assert caught.value.word == word


def test_a_board_without_tensorrt_is_named(tmp_path: Path) -> None:
    settings = board(tmp_path, tensorrt=False)
    (tmp_path / "packages" / "tensorrt").mkdir(parents=True)
    (tmp_path / "packages" / "tensorrt" / "__init__.py").write_text("raise ImportError('libnvinfer.so.8 is missing')\n")
    with pytest.raises(WorkerFailed, match="libnvinfer") as caught:
        probe_tensorrt(settings)
    assert caught.value.word == "no-tensorrt"


@pytest.mark.parametrize("python", ["/no/such/python", "/bin/true"], ids=["missing", "something else"])
def test_a_python_that_is_none_is_an_error_of_one_line(tmp_path: Path, python: str) -> None:
    with pytest.raises(WorkerFailed) as caught:
        probe_tensorrt(board(tmp_path, board_python=Path(python)))
    assert caught.value.word in ("no-python", "crashed")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", ["null-builder", "null-engine", "null-context", "parse-failed", "build-failed"])
def test_nothing_returned_is_a_failure_with_a_name(tmp_path: Path, fault: str) -> None:
    failure = failure_of(tmp_path, fault=fault)
    assert failure.word == fault
    assert "\n" not in str(failure)


def test_what_tensorrt_said_is_passed_on(tmp_path: Path) -> None:
    assert "Could not find any implementation" in str(failure_of(tmp_path, fault="build-failed"))
    assert "Mystery" in str(failure_of(tmp_path, fault="parse-failed"))


@pytest.mark.kill
def test_a_crash_is_named_with_its_signal(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, fault="crash")
    assert failure.word == "crashed"
    assert "SIGSEGV" in str(failure)


@pytest.mark.kill
@pytest.mark.parametrize("fault", ["killed", "exit-137"])
def test_a_worker_that_the_kernel_ends_ran_out_of_memory(tmp_path: Path, fault: str) -> None:
    failure = failure_of(tmp_path, fault=fault)
    assert failure.word == "out-of-memory"
    assert "137" in str(failure)


@pytest.mark.slow
@pytest.mark.kill
def test_a_worker_above_its_memory_is_ended(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, fault="takes-memory", memory_limit_bytes=400 << 20, workspaces=(64 << 20,))
    assert failure.word == "out-of-memory"
    assert "allowed are 400 MB" in str(failure)


@pytest.mark.slow
@pytest.mark.kill
def test_silence_is_named_and_ended(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, fault="silent", patience=Patience(silence=4.0))
    assert failure.word == "silent"


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.parametrize("fault", ["talks-for-ever", "computes-for-ever"])
def test_a_worker_that_is_busy_is_not_silent_but_its_time_ends(tmp_path: Path, fault: str) -> None:
    failure = failure_of(tmp_path, fault=fault, patience=Patience(silence=4.0, build=7.0))
    assert failure.word == "too-slow"


def test_less_working_memory_is_tried_when_it_runs_out(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    said: list[str] = []
    settings = board(tmp_path, fault="greedy")
    with open_tensorrt(tmp_path / "release", settings, build=True, progress=said.append) as runtime:
        assert runtime.engine.made == "built"
    assert [line for line in said if "memory ran out with 1024 MB" in line]


def test_a_gpu_without_memory_is_named(tmp_path: Path) -> None:
    assert failure_of(tmp_path, cuda_fault="out-of-memory").word == "out-of-memory"


def test_an_engine_that_computes_something_else_is_not_kept(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    with pytest.raises(GoldenMismatch):
        open_tensorrt(tmp_path / "release", board(tmp_path, fault="drift"), build=True)
    assert list((tmp_path / "engines").glob("*.engine")) == []
    assert list((tmp_path / "engines").glob(".*.part")) == []


def test_what_libraries_print_does_not_disturb_the_frames(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    with open_tensorrt(tmp_path / "release", board(tmp_path, fault="prints"), build=True) as runtime:
        assert runtime.engine.proof is not None


def test_a_refused_request_leaves_the_worker_usable_and_a_dead_one_stays_dead(tmp_path: Path) -> None:
    with started(board(tmp_path)) as worker:
        for command, word in (("run", "bad-request"), ("inspect", "no-engine"), ("sing", "unknown-command")):
            with pytest.raises(WorkerFailed) as refused:
                worker.ask(command, deadline_s=60)
            assert refused.value.word == word
        assert worker.ask("probe", deadline_s=60).header["gpu"] == "Fake Maxwell"
        os.kill(worker.pid, signal.SIGSEGV)
        for _ in range(2):
            with pytest.raises(WorkerFailed) as dead:
                worker.ask("probe", deadline_s=60)
            assert dead.value.word == "crashed"


def test_a_worker_ends_when_its_unit_ends(tmp_path: Path) -> None:
    worker = started(board(tmp_path))
    worker.ask("probe", deadline_s=60)
    pid = worker.pid
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_something_else_on_the_pipe_is_no_answer(tmp_path: Path) -> None:
    babbler = tmp_path / "python"
    babbler.write_text(f"#!{sys.executable}\nimport sys\nprint('hello' * 20, flush=True)\nsys.stdin.read()\n")
    babbler.chmod(0o755)
    with pytest.raises(WorkerFailed) as caught:
        probe_tensorrt(board(tmp_path, board_python=babbler))
    assert caught.value.word == "garbled"


def test_one_build_at_a_time(tmp_path: Path) -> None:
    from eyebright_edge.runtime.engine_cache import EngineCache

    write_tiny_release(tmp_path / "release")
    settings = board(tmp_path)
    with EngineCache(settings.engines).making(), pytest.raises(EyebrightError, match="being built already"):
        open_tensorrt(tmp_path / "release", settings, build=True)
