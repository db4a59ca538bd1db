"""A unit fetches the networks that it computes with, and no others; when it needs another one day, it fetches that."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from direct_workshop import DirectWorkshop
from edge_unit import EdgeUnit
from eyebright_common.errors import TargetRejected
from eyebright_common.release import Precision, read_release
from eyebright_edge.agent import arriving
from eyebright_edge.agent.enrolment import enrol_unit
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.tuf_source import open_source
from eyebright_edge.agent.update import Moment, UpdateAgent
from eyebright_edge.agent.update_record import Ending
from eyebright_edge.reports.status_report import status_facts, status_screen
from eyebright_edge.runtime import open_runtime
from eyebright_edge.runtime.networks import NeededNetworks
from eyebright_edge.runtime.settings import RuntimeSettings, settings_from_environment
from eyebright_edge.runtime.worker_process import WorkerFailed
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from quantised_release import write_quantised_release
from tiny_release import write_tiny_release

BOTH: tuple[Precision, ...] = ("fp16", "int8")
INT8, FP16 = "model.int8.onnx", "model.fp16.onnx"
CPU = NeededNetworks(RuntimeSettings(), gpu_nodes=[])
FULL = NeededNetworks(RuntimeSettings(precision="fp32"), gpu_nodes=[])
without_gpu = partial(open_runtime, gpu_nodes=[])
FULL_WORKSHOP = DirectWorkshop(partial(open_runtime, settings=RuntimeSettings(precision="fp32"), gpu_nodes=[]))


def tensorrt(precision: str) -> Mapping[str, Any]:
    """Return what a board's worker answers: from TensorRT 11 on, precision is in the graph."""
    return {"precision": precision, "adapter": 1, "tensorrt": "11.0", "gpu": "Orin", "cuda": 12}


def no_tensorrt(settings: RuntimeSettings) -> Mapping[str, Any]:
    raise WorkerFailed("no-tensorrt")


@pytest.mark.parametrize(
    ("environment", "gpu", "probe", "needed"),
    [
        ({}, False, no_tensorrt, {"fp32", "int8"}),
        ({"EYEBRIGHT_RUNTIME": "onnxruntime-cpu"}, False, no_tensorrt, {"fp32", "int8"}),
        ({"EYEBRIGHT_PRECISION": "fp32"}, False, no_tensorrt, {"fp32"}),
        ({"EYEBRIGHT_PRECISION": "fp16"}, False, no_tensorrt, {"fp32"}),
        ({}, True, lambda settings: tensorrt("graph"), {"fp32", "fp16"}),
        ({}, True, lambda settings: tensorrt("flags"), {"fp32"}),
        ({}, True, no_tensorrt, {"fp32"}),
        ({"EYEBRIGHT_PRECISION": "fp32"}, True, lambda settings: tensorrt("graph"), {"fp32"}),
        ({"EYEBRIGHT_RUNTIME": "onnxruntime-cuda"}, True, lambda settings: tensorrt("graph"), {"fp32"}),
    ],
    ids=["pc", "cpu-asked", "full-asked", "fp16-is-for-engines", "orin-11", "nano-8", "gpu-alone", "full-gpu", "cuda"],
)
def test_what_a_machine_needs(
    tmp_path: Path, environment: dict[str, str], gpu: bool, probe: Any, needed: set[Precision]
) -> None:
    release = write_quantised_release(tmp_path / "r", precisions=BOTH)
    node = tmp_path / "gpu"
    if gpu:
        node.touch()
    needs = NeededNetworks(settings_from_environment(environment), gpu_nodes=[node], probe=probe)
    assert needs(release) == needed


def test_a_release_without_variants_needs_its_network_alone(tmp_path: Path) -> None:
    assert CPU(write_tiny_release(tmp_path / "r")) == {"fp32"}


def test_a_variant_that_was_slower_is_not_needed(tmp_path: Path) -> None:
    assert CPU(write_quantised_release(tmp_path / "r", speed_ratio=0.4)) == {"fp32"}


def test_tensorrt_is_asked_once_and_asked_again_while_it_does_not_answer(tmp_path: Path) -> None:
    release = write_quantised_release(tmp_path / "r", precisions=BOTH)
    node, answers, asked = tmp_path / "gpu", [no_tensorrt, lambda settings: tensorrt("graph")], []
    node.touch()

    def probe(settings: RuntimeSettings) -> Mapping[str, Any]:
        asked.append(settings)
        return answers[len(asked) - 1](settings)

    needs = NeededNetworks(RuntimeSettings(), gpu_nodes=[node], probe=probe)
    assert [needs(release), needs(release), needs(release)] == [{"fp32"}, {"fp32", "fp16"}, {"fp32", "fp16"}]
    assert len(asked) == 2


@pytest.fixture
def unit(tmp_path: Path) -> EdgeUnit:
    made = EdgeUnit(tmp_path, workshop=DirectWorkshop(without_gpu))
    made.needs = CPU
    return made


def publish(unit: EdgeUnit, version: str) -> None:
    write_quantised_release(unit.releases.folder / version, version=version, precisions=BOTH)


def networks(unit: EdgeUnit, version: str = "1") -> set[str]:
    return {file.name for file in unit.home.release_folder(version).glob("model*")}


def test_a_unit_fetches_what_it_computes_with_and_status_says_so(unit: EdgeUnit) -> None:
    publish(unit, "1")
    assert unit.agent().update().ending is Ending.INSTALLED
    assert networks(unit) == {"model.onnx", INT8}
    assert FP16 not in unit.releases.fetched
    assert unit.home.serving().notice == ""
    facts = status_facts(unit.home, now=unit.now)["networks"]
    whole = unit.releases.folder / "1"
    assert facts["not_fetched"] == {"fp16": (whole / FP16).stat().st_size}
    assert facts["kept"]["int8"] == (whole / INT8).stat().st_size
    lines = [str(cell) for cell in status_screen(status_facts(unit.home, now=unit.now)).renderables[0].columns[1].cells]
    assert any("INT8" in line and "not fetched: FP16" in line for line in lines)


def test_a_quiet_look_fetches_nothing(unit: EdgeUnit) -> None:
    publish(unit, "1")
    unit.agent().update()
    unit.releases.fetched.clear()
    assert unit.agent().update().ending is Ending.UP_TO_DATE
    assert unit.releases.fetched == []


def test_changed_settings_bring_what_is_missing_at_the_next_look_and_nothing_else(unit: EdgeUnit) -> None:
    unit.needs, unit.workshop = FULL, FULL_WORKSHOP
    for version in ("1", "2"):
        publish(unit, version)
        unit.agent().update()
    assert networks(unit, "2") == {"model.onnx"}
    proof = read_receipt(unit.home).active.proof
    assert (proof.runtime, unit.home.kept()) == ("onnxruntime-cpu", ("2", "1"))
    unit.releases.fetched.clear()
    unit.needs, unit.workshop = CPU, DirectWorkshop(without_gpu)
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.INSTALLED, "2")
    assert unit.releases.fetched == [INT8]
    assert networks(unit, "2") == {"model.onnx", INT8}
    receipt = read_receipt(unit.home)
    assert receipt.active.proof.runtime == "onnxruntime-cpu-int8"
    assert (receipt.active.version, receipt.previous.version, unit.home.kept()) == ("2", "1", ("2", "1"))
    unit.releases.fetched.clear()
    assert (unit.agent().update().ending, unit.releases.fetched) == (Ending.UP_TO_DATE, [])


def test_the_release_that_serves_is_never_without_a_file_while_one_is_added(unit: EdgeUnit) -> None:
    unit.needs, unit.workshop = FULL, FULL_WORKSHOP
    publish(unit, "1")
    unit.agent().update()
    unit.needs, unit.workshop = CPU, DirectWorkshop(without_gpu)
    seen = []

    def look(state: State, moment: Moment) -> None:
        seen.append(unit.home.serving().release.version)
        read_release(unit.home.release_folder("1"), networks=())

    assert unit.agent(look).update().ending is Ending.INSTALLED
    assert set(seen) == {"1"}


@pytest.mark.parametrize("damage", ["lost", "cut", "a link"])
def test_without_the_network_it_was_proven_with_a_release_does_not_serve(unit: EdgeUnit, damage: str) -> None:
    publish(unit, "1")
    unit.agent().update()
    publish(unit, "2")
    unit.agent().update()
    file = unit.home.release_folder("2") / INT8
    data = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(data[:-1])
    if damage == "a link":
        file.symlink_to(unit.home.release_folder("1") / INT8)
    serving = unit.home.serving()
    assert serving.release.version == "1"
    assert "damaged" in serving.notice
    unit.releases.fetched.clear()
    assert unit.agent().update().active == "2"
    assert unit.releases.fetched == [INT8]  # what was sound of it is not sent again
    assert unit.home.serving().notice == ""


def test_a_network_that_is_there_is_verified_needed_or_not(unit: EdgeUnit) -> None:
    publish(unit, "1")
    unit.agent().update()
    (unit.home.release_folder("1") / FP16).write_bytes(b"another network")
    with pytest.raises(TargetRejected):
        read_release(unit.home.release_folder("1"), networks=())


def test_a_complete_release_of_an_older_version_of_the_unit_still_serves(unit: EdgeUnit) -> None:
    publish(unit, "1")
    unit.needs = lambda release: frozenset({"fp32", *BOTH})  # type: ignore[assignment]
    unit.agent().update()
    assert networks(unit) == {"model.onnx", INT8, FP16}
    unit.needs = CPU
    assert unit.agent().update().ending is Ending.UP_TO_DATE
    assert unit.home.serving().notice == ""


def test_settings_that_cannot_be_stop_the_look_in_one_line_and_screening_goes_on(
    unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(unit, "1")
    unit.agent().update()
    unit.needs = NeededNetworks(gpu_nodes=[])
    monkeypatch.setenv("EYEBRIGHT_PRECISION", "int4")
    result = unit.agent().update()
    assert (result.ending, result.active) == (Ending.FAILED, "1")
    assert "EYEBRIGHT_PRECISION has no such value: int4" in str(result.error)
    assert "\n" not in str(result.error)


def _signed(tmp_path: Path) -> tuple[OperatorFolder, UnitHome]:
    operator, home = OperatorFolder.create(tmp_path / "operator"), UnitHome(tmp_path / "unit")
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
    write_quantised_release(tmp_path / "1", precisions=BOTH)
    operator.repository.publish(tmp_path / "1")
    return operator, home


def _update(home: UnitHome, place: str, needs: NeededNetworks) -> Ending:
    with open_source(home, place, now=datetime.now(UTC)) as source:
        agent = UpdateAgent(
            home,
            task="fundus",
            source=source,
            open_runtime=without_gpu,
            workshop=DirectWorkshop(without_gpu),
            clock=lambda: datetime.now(UTC),
            needs=needs,
        )
        result = agent.update()
    if result.error:
        raise result.error
    return result.ending


@contextmanager
def _place(kind: str, operator: OperatorFolder) -> Iterator[tuple[str, list[str]]]:
    """Serve a repository and note the targets that were asked for."""
    if kind == "stick":
        yield str(operator.repository.folder), []
        return
    asked: list[str] = []

    class Noting(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    handler = functools.partial(Noting, directory=str(operator.repository.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.mark.parametrize("kind", ["web", "stick"])
def test_from_a_web_server_and_from_a_stick_alike(tmp_path: Path, kind: str) -> None:
    operator, home = _signed(tmp_path)
    with _place(kind, operator) as (place, asked):
        assert _update(home, place, FULL) is Ending.INSTALLED
        assert {file.name for file in home.release_folder("1").glob("model*")} == {"model.onnx"}
        assert not any(INT8 in path or FP16 in path for path in asked)
        asked.clear()
        assert _update(home, place, CPU) is Ending.INSTALLED
        assert {file.name for file in home.release_folder("1").glob("model*")} == {"model.onnx", INT8}
        assert not any("model.onnx" in path for path in asked)  # it was at hand
    operator.close()


def test_a_network_that_is_not_what_was_signed_is_not_added(tmp_path: Path) -> None:
    operator, home = _signed(tmp_path)
    stick = tmp_path / "stick"
    shutil.copytree(operator.repository.folder, stick)
    assert _update(home, str(stick), FULL) is Ending.INSTALLED
    (spoilt,) = stick.rglob(f"*.{INT8}")
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"!")
    with pytest.raises(TargetRejected):
        _update(home, str(stick), CPU)
    assert not (home.release_folder("1") / INT8).exists()
    assert home.serving().release.version == "1"
    operator.close()


class PowerCut(BaseException):
    """Stands for the end of the process inside the test's own."""


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("state", [s for s in State if s not in (State.IDLE, State.ROLL_BACK, State.DISCARD)])
def test_power_that_goes_while_a_network_is_added_costs_nothing(unit: EdgeUnit, state: State, moment: Moment) -> None:
    unit.needs, unit.workshop = FULL, FULL_WORKSHOP
    publish(unit, "1")
    unit.agent().update()
    unit.needs, unit.workshop = CPU, DirectWorkshop(without_gpu)

    def pull_the_plug(now_in: State, when: Moment) -> None:
        if (now_in, when) == (state, moment):
            raise PowerCut

    with pytest.raises(PowerCut):
        unit.agent(pull_the_plug).update()
    assert unit.home.serving().notice == ""
    for _ in range(2):
        unit.agent().update()
    assert networks(unit) == {"model.onnx", INT8}
    assert read_receipt(unit.home).active.proof.runtime == "onnxruntime-cpu-int8"
    assert not unit.home.downloads.exists()


def test_power_that_goes_between_two_files_is_made_good(unit: EdgeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    unit.needs, unit.workshop = FULL, FULL_WORKSHOP
    publish(unit, "1")
    unit.agent().update()
    unit.needs = lambda release: frozenset({"fp32", *BOTH})  # type: ignore[assignment]
    unit.workshop = DirectWorkshop(without_gpu)
    moved = arriving.move_into_place

    def cut_after_one(draft: Path, path: Path) -> None:
        moved(draft, path)
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(arriving, "move_into_place", cut_after_one)
        with pytest.raises(PowerCut):
            unit.agent().update()
    assert len(networks(unit)) == 2
    assert unit.home.serving().release.version == "1"
    unit.agent().update()
    assert networks(unit) == {"model.onnx", INT8, FP16}
    assert unit.home.serving().notice == ""
