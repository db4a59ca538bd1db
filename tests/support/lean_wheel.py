"""Look at what the wheel's `[edge]` extra brings into an empty environment, and screen there.

Run by the gate. Exits 1 with one line per broken promise.
"""

import json
import sys
import tempfile
from pathlib import Path

from lean_environment import lean_environment, run
from retina_pictures import retina, save_picture
from tiny_release import write_tiny_release

ABSENT = ("torch", "torchvision", "timm", "flwr", "ray", "sklearn", "sqlalchemy", "onnx")
PROBE = (
    "import importlib.util, json; "
    f"print(json.dumps([name for name in {ABSENT!r} if importlib.util.find_spec(name) is not None]))"
)


def main() -> int:
    """Return 0 when the wheel keeps its promises."""
    home = lean_environment()
    python, eyebright = home / "bin" / "python", home / "bin" / "eyebright"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        present = json.loads(run(str(python), "-c", PROBE, cwd=folder))
        broken = [f"{name} is installed by eyebright[edge]; it must not be" for name in present]
        shown = run(str(eyebright), "edge", "--help", cwd=folder)
        broken += [] if "screen" in shown else ["`eyebright edge --help` does not mention `screen`"]
        broken += _screening(eyebright, folder)
    size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file() and not file.is_symlink())
    sys.stdout.write("\n".join(broken) or f"lean wheel: {', '.join(ABSENT)} absent; {size / 1e6:.0f} MB installed")
    sys.stdout.write("\n")
    return 1 if broken else 0


def _screening(eyebright: Path, folder: Path) -> list[str]:
    """Return what is wrong with an answer given where nothing else is installed."""
    release, right, left, bundle = (folder / name for name in ("release", "right.png", "left.png", "visit.json"))
    write_tiny_release(release)
    save_picture(right, retina(seed=0))
    save_picture(left, retina(seed=1))
    given = ("--release", str(release), "--right", str(right), "--left", str(left))
    said = json.loads(run(str(eyebright), "edge", "screen", *given, "--fhir", str(bundle), "--json", cwd=folder))
    verdict = said["patient"]["verdict"]
    broken = [] if verdict == "NO REFERRAL" else [f"two good eyes were answered with {verdict}"]
    resources = {entry["resource"]["resourceType"] for entry in json.loads(bundle.read_text())["entry"]}
    return broken if "DiagnosticReport" in resources else [*broken, "the FHIR bundle has no DiagnosticReport"]


if __name__ == "__main__":
    raise SystemExit(main())
