"""Which runtime answers: by probe, by configuration, and what happens when it fails in service."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_unit import EdgeUnit
from eyebright_common.errors import InputError, ReleaseError
from eyebright_edge.agent.workshop import ChildWorkshop
from eyebright_edge.runtime import OnnxRuntime, build_runtime, open_runtime
from eyebright_edge.runtime.settings import CHOICES, RuntimeSettings, settings_from_environment
from eyebright_edge.screening.release import open_release
from fake_tensorrt_board import board
from tiny_release import write_tiny_release

PICTURE = np.full((1, 3, 64, 64), 100.0, np.float32)


def test_without_a_gpu_onnx_runtime_answers_and_nothing_is_said(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    settings = board(tmp_path, choice="auto", board_python=Path("/no/such/python"))
    runtime = open_runtime(tmp_path / "release", settings=settings, gpu_nodes=[tmp_path / "no-gpu"])
    assert (runtime.name, runtime.notices, runtime.precision) == ("onnxruntime-cpu", (), "fp32")


def test_with_a_gpu_tensorrt_answers_once_an_update_has_built_its_engine(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    gpu = tmp_path / "nvidia"
    gpu.touch()
    settings = board(tmp_path, choice="auto")
    before = open_runtime(tmp_path / "release", settings=settings, gpu_nodes=[gpu])
    assert before.name == "onnxruntime-cpu"
    assert "no proven engine" in before.notices[0]
    built = open_runtime(tmp_path / "release", settings=settings, gpu_nodes=[gpu], build=True)
    built.close()
    visit = open_runtime(tmp_path / "release", settings=settings, gpu_nodes=[gpu])
    assert (visit.name, visit.notices) == ("tensorrt-fp32", ())
    visit.close()


def test_the_configuration_may_forbid_it(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    settings = board(tmp_path, choice="onnxruntime-cpu")
    assert open_runtime(tmp_path / "release", settings=settings, gpu_nodes=[tmp_path]).notices == ()


@pytest.mark.parametrize("choice", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_provider_that_is_not_there_is_said_and_the_cpu_answers(tmp_path: Path, choice: str) -> None:
    if OnnxRuntime.has(choice):
        pytest.skip(f"this ONNX Runtime has {choice}")
    write_tiny_release(tmp_path / "release")
    settings = settings_from_environment({"EYEBRIGHT_RUNTIME": choice})
    runtime = open_runtime(tmp_path / "release", settings=settings)
    assert runtime.name == "onnxruntime-cpu"
    assert f"{choice} is not used" in runtime.notices[0]


@pytest.mark.parametrize("fault", ["drift", "crash", "null-builder"])
def test_an_engine_that_is_no_good_leaves_the_reference_runtime_serving(tmp_path: Path, fault: str) -> None:
    write_tiny_release(tmp_path / "release")
    runtime = open_runtime(tmp_path / "release", settings=board(tmp_path, fault=fault), build=True)
    assert runtime.name == "onnxruntime-cpu"
    assert len(runtime.notices) == 1
    assert "\n" not in runtime.notices[0]


@pytest.mark.kill
def test_the_picture_of_a_runtime_that_dies_in_service_is_answered_all_the_same(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    open_runtime(tmp_path / "release", settings=board(tmp_path), build=True).close()
    runtime = open_runtime(tmp_path / "release", settings=board(tmp_path, fault="dies-in-service", runs=1))
    reference = OnnxRuntime(tmp_path / "release").run(PICTURE)
    names = []
    for _ in range(3):
        logits, cam = runtime.run(PICTURE)
        assert np.allclose(logits, reference[0])
        assert np.allclose(cam, reference[1])
        names.append(runtime.name)
    assert names == ["tensorrt-fp32", "onnxruntime-cpu", "onnxruntime-cpu"]
    assert len(runtime.notices) == 1
    assert "tensorrt-fp32 failed, onnxruntime-cpu answers instead" in runtime.notices[0]
    runtime.close()


def test_a_wrong_picture_is_the_callers_mistake_and_changes_nothing(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    runtime = open_runtime(tmp_path / "release", settings=board(tmp_path), build=True)
    with pytest.raises(ReleaseError, match=r"\[1, 3, 64, 64\]"):
        runtime.run(np.zeros((1, 3, 8, 8), np.float32))
    assert runtime.name == "tensorrt-fp32"
    runtime.close()


@pytest.mark.slow
def test_an_update_builds_the_engine_in_its_child_and_a_visit_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = board(tmp_path)
    for name, value in {
        **there.environment,
        "EYEBRIGHT_RUNTIME": "tensorrt",
        "EYEBRIGHT_BOARD_PYTHON": str(there.board_python),
        "EYEBRIGHT_ENGINES": str(there.engines),
    }.items():
        monkeypatch.setenv(name, value)
    unit = EdgeUnit(tmp_path, workshop=ChildWorkshop(build_runtime))
    unit.install("1")
    assert [engine.suffix for engine in there.engines.glob("*.engine")] == [".engine"]
    serving = open_release(unit.home.serving().folder)
    assert (serving.runtime.name, serving.runtime.notices) == ("tensorrt-fp32", ())
    serving.runtime.close()
    receipt = json.loads(unit.home.receipt_file.read_bytes())
    assert "tensorrt-fp32" in json.dumps(receipt)


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    given = {
        "EYEBRIGHT_RUNTIME": "tensorrt",
        "EYEBRIGHT_PRECISION": "fp32",
        "EYEBRIGHT_BOARD_PYTHON": "/usr/bin/python3.6",
        "EYEBRIGHT_ENGINES": str(tmp_path),
        "EYEBRIGHT_REFIT": "1",
        "EYEBRIGHT_WORKER_MEMORY_MB": "1500",
    }
    assert settings_from_environment(given) == RuntimeSettings(
        choice="tensorrt",
        precision="fp32",
        board_python=Path("/usr/bin/python3.6"),
        engines=tmp_path,
        refit=True,
        memory_limit_bytes=1500 << 20,
    )
    assert settings_from_environment({}).choice == "auto"


@pytest.mark.parametrize(
    "given",
    [
        {"EYEBRIGHT_RUNTIME": "cuda"},
        {"EYEBRIGHT_PRECISION": "int8"},
        {"EYEBRIGHT_REFIT": "yes"},
        {"EYEBRIGHT_WORKER_MEMORY_MB": "lots"},
        {"EYEBRIGHT_WORKER_MEMORY_MB": "1"},
    ],
    ids=lambda given: "=".join(*given.items()),
)
def test_a_setting_that_cannot_be_is_named(given: dict[str, str]) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        settings_from_environment(given)


def test_the_names_of_runtimes_are_words_that_a_report_may_carry() -> None:
    from pydantic import TypeAdapter

    from eyebright_common.wire.report import Word

    for name in (*CHOICES, "onnxruntime-cpu-int8", "tensorrt-fp16", "tensorrt-fp32"):
        assert TypeAdapter(Word).validate_python(name) == name
