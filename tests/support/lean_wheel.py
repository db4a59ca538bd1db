"""Build the wheel, install it with the `[edge]` extra into an empty environment, look at what is there, and screen.

Run by the gate. Exits 1 with one line per broken promise.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from retina_pictures import retina, save_picture
from tiny_release import write_tiny_release

REPOSITORY = Path(__file__).resolve().parents[2]
ABSENT = ("torch", "torchvision", "timm", "flwr", "ray", "sklearn", "sqlalchemy", "onnx")
PROBE = (
    "import importlib.util, json; "
    f"print(json.dumps([name for name in {ABSENT!r} if importlib.util.find_spec(name) is not None]))"
)


def main() -> int:
    """Return 0 when the wheel keeps its promises."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = _build(Path(folder))
        home = Path(folder) / "venv"
        venv.create(home, with_pip=True)
        python = home / "bin" / "python"
        constraint = str(REPOSITORY / "constraints.txt")
        _run(str(python), "-m", "pip", "install", "--quiet", "--constraint", constraint, f"{wheel}[edge]")
        present = json.loads(_run(str(python), "-c", PROBE, cwd=folder))
        broken = [f"{name} is installed by eyebright[edge]; it must not be" for name in present]
        shown = _run(str(home / "bin" / "eyebright"), "edge", "--help", cwd=folder)
        broken += [] if "screen" in shown else ["`eyebright edge --help` does not mention `screen`"]
        broken += _screening(home / "bin" / "eyebright", Path(folder))
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
    said = json.loads(_run(str(eyebright), "edge", "screen", *given, "--fhir", str(bundle), "--json", cwd=str(folder)))
    verdict = said["patient"]["verdict"]
    broken = [] if verdict == "NO REFERRAL" else [f"two good eyes were answered with {verdict}"]
    resources = {entry["resource"]["resourceType"] for entry in json.loads(bundle.read_text())["entry"]}
    return broken if "DiagnosticReport" in resources else [*broken, "the FHIR bundle has no DiagnosticReport"]


def _build(folder: Path) -> Path:
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    return next(folder.glob("eyebright-*.whl"))


def _run(*command: str, cwd: str | None = None) -> str:
    # Colours off and a wide terminal, so that the help text can be searched; PYTHONPATH must not leak the checkout in.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"NO_COLOR": "1", "COLUMNS": "120"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
