"""The whole path through a real worker process, for each supported TensorRT: probe, build, prove, load, run, refit.

The fake has only the names that a version has: by the table always, and by the lists of the real bindings' names where
they are beside this checkout.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from eyebright_common.release import compare, read_golden
from eyebright_edge.runtime import OnnxRuntime, prove_runtime
from eyebright_edge.runtime.tensorrt import open_tensorrt, probe_tensorrt
from fake_tensorrt import LACKS, LISTS
from fake_tensorrt_board import VERSIONS, add_half, board, lists_of
from tiny_release import REFER_BIAS, write_tiny_release

WAYS = {
    "8.2": ("bindings", "flags"),
    "8.6": ("tensors", "flags"),
    "10.0": ("tensors", "flags"),
    "10.3": ("tensors", "flags"),
    "10.16": ("tensors", "flags"),
    "11.4": ("tensors", "graph"),
}
held = pytest.mark.parametrize("held_to", ["table", pytest.param("lists", marks=pytest.mark.slow)])
every_version = pytest.mark.parametrize("version", list(VERSIONS))


@held
@every_version
def test_a_release_is_built_proven_and_run(tmp_path: Path, version: str, held_to: str) -> None:
    names = lists_of(version) if held_to == "lists" else None
    write_tiny_release(tmp_path / "release")
    release = add_half(tmp_path / "release")
    settings = board(tmp_path, version, names=names)
    said: list[str] = []
    with open_tensorrt(tmp_path / "release", settings, build=True, progress=said.append) as runtime:
        assert (runtime.name, runtime.image_size, runtime.classes) == ("tensorrt-fp16", 64, 4)
        assert runtime.engine.made == "built"
        image = np.random.default_rng(0).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)
        logits, cam = runtime.run(image)
        reference, reference_cam = OnnxRuntime(tmp_path / "release").run(image)
        # Half precision, really: another number, within what the release says it loses.
        assert 0 < np.abs(logits - reference).max() < 0.05
        assert cam.shape == reference_cam.shape
        assert prove_runtime(runtime, tmp_path / "release", release).passed
        assert json.loads(runtime.inspect())["Bindings"] == ["image", "logits", "cam"]
    assert any("build an engine" in line for line in said)
    assert any("Detected 1 inputs" in line or "Building" in line for line in said), "the builder's own words arrive"


@every_version
def test_the_probe_says_which_ways_are_taken(tmp_path: Path, version: str) -> None:
    probed = probe_tensorrt(board(tmp_path, version))
    assert (probed["io"], probed["precision"]) == WAYS[version]
    assert probed["tensorrt"] == VERSIONS[version]
    assert (probed["gpu"], probed["compute_capability"], probed["cuda"]) == ("Fake Maxwell", "5.3", 10020)


@pytest.mark.slow
@held
@pytest.mark.parametrize("version", ["8.2", "8.6", "10.3", "11.4"])
def test_new_weights_are_refitted_and_proven(tmp_path: Path, version: str, held_to: str) -> None:
    names = lists_of(version) if held_to == "lists" else None
    settings = board(tmp_path, version, names=names, refit=True)
    write_tiny_release(tmp_path / "1")
    release = write_tiny_release(tmp_path / "2", version="2", bias=REFER_BIAS)
    open_tensorrt(tmp_path / "1", settings, build=True).close()
    with open_tensorrt(tmp_path / "2", settings, build=True) as runtime:
        assert runtime.engine.made == "refitted"
        golden = read_golden(tmp_path / "2", release)
        found = np.concatenate([runtime.run(one[None].astype(np.float32))[0] for one in golden.inputs])
        assert compare(found, golden).passed


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["bad-refit", "strange-weight"])
def test_a_refit_that_fails_or_lies_is_replaced_by_a_build(tmp_path: Path, fault: str) -> None:
    write_tiny_release(tmp_path / "1")
    write_tiny_release(tmp_path / "2", version="2", bias=REFER_BIAS)
    open_tensorrt(tmp_path / "1", board(tmp_path, refit=True), build=True).close()
    with open_tensorrt(tmp_path / "2", board(tmp_path, refit=True, fault=fault), build=True) as runtime:
        assert runtime.engine.made == "built"


def test_fp32_is_asked_for_where_the_release_does_not_say_what_half_precision_loses(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    with open_tensorrt(tmp_path / "release", board(tmp_path), build=True) as runtime:
        assert runtime.name == "tensorrt-fp32"


def test_from_11_on_half_precision_is_built_from_the_half_precision_network(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release")
    release = add_half(tmp_path / "release")
    keys = {}
    for version in ("10.3", "11.4"):
        with open_tensorrt(tmp_path / "release", board(tmp_path, version), build=True) as runtime:
            keys[version] = runtime.engine.key.model_sha256
    assert keys["10.3"] == release.artefact("model.onnx").sha256
    assert keys["11.4"] == release.artefact("model.fp16.onnx").sha256


@every_version
def test_the_table_and_the_lists_agree(version: str) -> None:
    lists = [json.loads(Path(one).read_text()) for one in lists_of(version)]
    if len(LISTS[version]) == 1 and version != "8.2":
        for kind, members in LACKS[version].items():
            known = set(lists[0]["cls"].get(kind, ())) if kind else set(lists[0]["names"])
            assert not known & set(members), f"{kind} of {version} has what the table says it lacks"
