"""What a release ships really loads in the oldest runtimes of the boards, and computes the same there.

A lane is a Python of its own with the ONNX Runtime of its time: 3.6 with 1.10, 3.8 with 1.19. One that this machine
does not have (``old_pythons`` says where it looks) is skipped by name. To make one: ``python3.6 -m venv LANE``, then
with its pip: ``install pip==21.3.1``, ``install onnxruntime==1.10.0``.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

from eyebright_common.release.schema import MODEL_FILES
from eyebright_learning.models import STUDENTS, build_student
from eyebright_server.release.export import export_student
from eyebright_server.release.reference_runtime import ReferenceRuntime
from eyebright_server.release.variants import convert
from old_pythons import old_pythons, variable

pytestmark = pytest.mark.slow
LANES = {"3.6": "1.10", "3.8": "1.19"}
SIZE = 64
# Written for Python 3.6: prints what each file gives for the picture, or why it is not taken.
_RUN = """
import json, sys
import numpy, onnxruntime
onnxruntime.set_default_logger_severity(4)
picture, found = numpy.load(sys.argv[1]), {}
for path in sys.argv[2:]:
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found[path] = [value.tolist() for value in session.run(["logits", "cam"], {"image": picture})]
    except Exception as error:
        found[path] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=LANES)
def lane(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A lane's version of Python and its interpreter; skipped with what is missing."""
    version: str = request.param
    for candidate in old_pythons(version):
        ask = "import onnxruntime; print(onnxruntime.__version__)"
        answer = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
        if answer.stdout.startswith(f"{LANES[version]}."):
            return version, candidate
    pytest.skip(f"no Python {version} with onnxruntime {LANES[version]} here (name one in {variable(version)})")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, np.ndarray]:
    """Every network of a release of every student, and its logits in this machine's ONNX Runtime."""
    folder = tmp_path_factory.mktemp("shipped")
    calibration = np.random.default_rng(0).integers(0, 256, (4, 3, SIZE, SIZE), dtype=np.uint8)
    np.save(folder / "picture.npy", calibration[:1].astype(np.float32))
    found = {}
    for name in STUDENTS:
        data = export_student(build_student(name, classes=4, seed=0).eval(), image_size=SIZE).data
        for precision in MODEL_FILES:
            path = folder / f"{name}.{precision}.onnx"
            path.write_bytes(convert(data, precision, calibration))
            found[path] = ReferenceRuntime(path).logits_of(calibration[:1])
    return found


def asked(python: str, picture: Path, files: list[Path]) -> dict[str, object]:
    command = [python, "-c", _RUN, str(picture), *map(str, files)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-500:]
    found: dict[str, object] = json.loads(answer.stdout)
    return found


def test_every_network_of_a_release_loads_and_computes_the_same(
    lane: tuple[str, str], shipped: dict[Path, np.ndarray]
) -> None:
    found = asked(lane[1], next(iter(shipped)).parent / "picture.npy", list(shipped))
    for path, expected in shipped.items():
        answer = found[str(path)]
        assert isinstance(answer, list), f"{path.name}: {answer}"
        logits, cam = (np.asarray(value, np.float32) for value in answer)
        spread = max(1.0, float(np.abs(expected).max()))
        # Half and eight-bit arithmetic rounds otherwise from one version to the next; full precision hardly does.
        assert np.abs(logits - expected).max() <= (1e-4 if ".fp32." in path.name else 0.05) * spread, path.name
        assert cam.shape[:2] == (1, 4)


def test_a_file_of_todays_ir_version_is_one_that_the_oldest_cannot_read(
    lane: tuple[str, str], shipped: dict[Path, np.ndarray], tmp_path: Path
) -> None:
    model = onnx.load(next(iter(shipped)))
    model.ir_version = 10
    onnx.save(model, tmp_path / "newer.onnx")
    (answer,) = asked(lane[1], next(iter(shipped)).parent / "picture.npy", [tmp_path / "newer.onnx"]).values()
    if lane[0] == "3.6":
        assert "ir_version" in str(answer).lower().replace(" ", "_"), answer
    else:
        assert isinstance(answer, list), answer
