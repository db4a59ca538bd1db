"""Interpreters as old as those of the boards, where this machine has them.

Looked for in ``EYEBRIGHT_TEST_PYTHON36`` or ``EYEBRIGHT_TEST_PYTHON38``, then among pyenv's, then on the search path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


def old_pythons(version: str) -> Iterator[str]:
    """Yield interpreters of a version, e.g. ``3.6``, that really start."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    found = [os.environ.get(variable(version)), *map(str, kept), shutil.which(f"python{version}")]
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, found):
        try:
            answer = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if answer.stdout.strip() == version:
            yield candidate


def variable(version: str) -> str:
    """Return the name of the variable in which one can be named."""
    return f"EYEBRIGHT_TEST_PYTHON{version.replace('.', '')}"
