"""Screening a picture loads what screening needs and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retina_pictures import retina, save_picture
from tiny_release import write_tiny_release

NEVER = ("torch", "torchvision", "timm", "flwr", "ray", "sklearn", "onnx")
NOT_FOR_SCREENING = ("grpc", "tuf", "sqlalchemy", "pydicom", "cryptography", "securesystemslib", "google.protobuf")

_PROBE = """
import json, sys
import eyebright_edge
alone = [name for name in sys.modules if name.partition(".")[0] in ("numpy", "cv2", "onnxruntime")]
from eyebright_common.cli import main
try:
    main(["edge", *sys.argv[1:]])
except SystemExit as stop:
    sys.stderr.write(json.dumps({"code": stop.code, "alone": alone, "modules": sorted(sys.modules)}))
"""


def _run(*arguments: object) -> dict[str, object]:
    command = [sys.executable, "-c", _PROBE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stderr[done.stderr.index('{"code"') :]))


def _loaded(facts: dict[str, object], names: tuple[str, ...]) -> list[str]:
    modules = facts["modules"]
    assert isinstance(modules, list)
    return [name for name in names if name in modules]


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_screening_a_picture_loads_neither_a_training_library_nor_the_network(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    write_tiny_release(tmp_path / "release")
    picture = save_picture(tmp_path / "right.png", retina())
    facts = _run("screen", "--right", picture, "--release", tmp_path / "release", *form)
    assert facts["code"] == 0
    assert _loaded(facts, NEVER + NOT_FOR_SCREENING) == []
    assert facts["alone"] == []


def test_help_loads_no_runtime_and_no_picture_code() -> None:
    facts = _run("--help")
    assert _loaded(facts, (*NEVER, *NOT_FOR_SCREENING, "numpy", "cv2", "onnxruntime")) == []


def test_onnx_runtime_is_told_to_report_to_nobody_before_it_can_be_loaded() -> None:
    ask = "import sys, os, eyebright_common; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    done = subprocess.run([sys.executable, "-c", ask], env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
