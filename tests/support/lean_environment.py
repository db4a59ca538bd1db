"""An environment with the wheel and its `[edge]` extra and nothing else, made once in `build/lean` and used again.

The gate's check and the tests that play a unit share it. What was installed is noted: other pins or another Python make
it anew, another wheel only replaces the wheel. A lock keeps two runs from making it at once.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_FOLDER = REPOSITORY / "build" / "lean"
_CONSTRAINTS = REPOSITORY / "constraints.txt"


def lean_environment() -> Path:
    """Return the folder of the environment, with what this checkout says in it."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock, tempfile.TemporaryDirectory() as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        home = _FOLDER / "venv"
        wheel = _build(Path(scratch))
        needs = _digest(sys.version.encode(), (REPOSITORY / "pyproject.toml").read_bytes(), _CONSTRAINTS.read_bytes())
        packed = _digest(wheel.read_bytes())
        if _noted("needs") != needs:
            for note in ("needs", "wheel"):
                (_FOLDER / note).unlink(missing_ok=True)
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=True)
            _pip(home, "--constraint", str(_CONSTRAINTS), f"{wheel}[edge]")
            (_FOLDER / "needs").write_text(needs)
        elif _noted("wheel") != packed:
            (_FOLDER / "wheel").unlink(missing_ok=True)
            _pip(home, "--no-deps", "--force-reinstall", str(wheel))
        (_FOLDER / "wheel").write_text(packed)
    return home


def run(*command: str, cwd: Path) -> str:
    """Run a command of the environment from a folder outside the checkout and return what it printed."""
    done = subprocess.run(command, cwd=cwd, env=bare(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def bare() -> dict[str, str]:
    """Return the variables of such a command: colours off and a wide terminal, so that what it says can be searched."""
    # PYTHONPATH must not leak the checkout in, nor the rest what a unit has to say for itself.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith(("EYEBRIGHT_", "ORT_"))}
    return kept | {"NO_COLOR": "1", "COLUMNS": "120"}


def _build(folder: Path) -> Path:
    command = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    run(sys.executable, *command, cwd=folder)
    return next(folder.glob("eyebright-*.whl"))


def _pip(home: Path, *what: str) -> None:
    run(str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *what, cwd=_FOLDER)


def _noted(name: str) -> str:
    try:
        return (_FOLDER / name).read_text()
    except FileNotFoundError:
        return ""


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
