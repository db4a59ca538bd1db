"""Which network of a release a unit computes with, by what the machine is and what the release says it loses."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from direct_workshop import DirectWorkshop
from edge_unit import EdgeUnit
from eyebright_edge.agent.receipt import read_receipt
from eyebright_edge.runtime import OnnxRuntime, open_runtime, prove_runtime
from eyebright_edge.runtime.settings import RuntimeSettings, settings_from_environment
from quantised_release import write_quantised_release
from tiny_release import write_tiny_model, write_tiny_release

PICTURE = np.random.default_rng(5).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)


def test_a_unit_with_only_a_cpu_computes_with_the_int8_network(tmp_path: Path) -> None:
    release = write_quantised_release(tmp_path / "r")
    runtime = open_runtime(tmp_path / "r", settings=RuntimeSettings(), gpu_nodes=[])
    assert (runtime.name, runtime.precision, runtime.notices) == ("onnxruntime-cpu-int8", "int8", ())
    report = prove_runtime(runtime, tmp_path / "r", release)
    assert report.passed
    assert report.max_abs_logit_difference > 0  # it is the quantised network that answers
    assert not np.array_equal(runtime.run(PICTURE)[0], OnnxRuntime(tmp_path / "r").run(PICTURE)[0])
    operators = {node.op_type for node in onnx.load(tmp_path / "r" / "model.int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    runtime.close()


@pytest.mark.parametrize(
    ("settings", "gpu"),
    [
        ({"EYEBRIGHT_PRECISION": "fp32"}, False),
        ({"EYEBRIGHT_PRECISION": "fp16"}, False),
        ({"EYEBRIGHT_RUNTIME": "onnxruntime-cpu"}, True),
        ({}, True),
    ],
    ids=["fp32-asked", "fp16-is-for-engines", "a-board-with-a-gpu", "a-gpu-without-its-engine"],
)
def test_others_screen_with_full_precision_on_the_cpu(tmp_path: Path, settings: dict[str, str], gpu: bool) -> None:
    write_quantised_release(tmp_path / "r")
    node = tmp_path / "gpu"
    if gpu:
        node.touch()
    given = {"EYEBRIGHT_BOARD_PYTHON": "/no/such/python", **settings}
    runtime = open_runtime(tmp_path / "r", settings=settings_from_environment(given), gpu_nodes=[node])
    assert (runtime.name, runtime.precision) == ("onnxruntime-cpu", "fp32")


def test_a_variant_that_was_slower_when_it_was_measured_is_left_alone(tmp_path: Path) -> None:
    write_quantised_release(tmp_path / "r", speed_ratio=0.4)
    runtime = open_runtime(tmp_path / "r", settings=RuntimeSettings(), gpu_nodes=[])
    assert (runtime.name, runtime.notices) == ("onnxruntime-cpu", ())


def test_a_release_without_one_is_no_news(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "r")
    runtime = open_runtime(tmp_path / "r", settings=RuntimeSettings(), gpu_nodes=[])
    assert (runtime.name, runtime.notices) == ("onnxruntime-cpu", ())


def test_a_variant_that_fails_its_golden_cases_here_leaves_full_precision_and_says_so(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "other.onnx", classes=4, image_size=64, bias=(0.0, 4.0, 0.0, 0.0))
    write_quantised_release(tmp_path / "r", network=(tmp_path / "other.onnx").read_bytes())
    runtime = open_runtime(tmp_path / "r", settings=RuntimeSettings(), gpu_nodes=[])
    assert (runtime.name, runtime.precision) == ("onnxruntime-cpu", "fp32")
    (notice,) = runtime.notices
    assert "the INT8 network is not used" in notice
    assert "golden" in notice
    assert "\n" not in notice


@pytest.mark.parametrize("data", [b"", b"no network"], ids=["empty", "text"])
def test_a_variant_that_is_no_network_leaves_full_precision_and_says_so(tmp_path: Path, data: bytes) -> None:
    write_quantised_release(tmp_path / "r", network=data or b"\0")
    runtime = open_runtime(tmp_path / "r", settings=RuntimeSettings(), gpu_nodes=[])
    assert runtime.name == "onnxruntime-cpu"
    assert "cannot load the network" in runtime.notices[0]


def test_an_update_proves_what_a_visit_computes_with(tmp_path: Path) -> None:
    without_gpu = partial(open_runtime, gpu_nodes=[])
    unit = EdgeUnit(tmp_path, workshop=DirectWorkshop(without_gpu))
    write_quantised_release(unit.releases.folder / "1")
    assert unit.agent().update().active == "1"
    assert "model.int8.onnx" in unit.releases.fetched
    active = read_receipt(unit.home).active
    assert active is not None
    assert active.proof.passed
    assert active.proof.runtime == without_gpu(unit.home.serving().folder).name == "onnxruntime-cpu-int8"
