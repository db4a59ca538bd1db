"""The Flower app of our runs: a bundle without code.

Flower hands every run's app to every hospital, and a stock SuperNode would run what is in it. Ours holds names only:
the server's part is this process, the hospital's part is installed at the hospital, and neither ever loads a bundle.
A bundle with code in it would therefore change nothing at a hospital.
"""

from __future__ import annotations

import warnings

from flwr.cli.build import build_fab_from_files

_PYPROJECT = b"""[project]
name = "rounds"
version = "1.0.0"
description = "Names only; see eyebright_server.superlink.bundle."
license = { file = "LICENSE" }
dependencies = ["flwr>=1.41.0"]

[tool.flwr.app]
publisher = "eyebright"
fab-format-version = 1
flwr-version-target = "1.41.0"

[tool.flwr.app.components]
serverapp = "names_only:server"
clientapp = "names_only:client"

[tool.flwr.app.config]
"""
_MODULE = b'"""Nothing runs from here: both parts are installed where they run."""\n\nserver = client = None\n'


def rounds_bundle() -> bytes:
    """Return the bundle, the same bytes every time."""
    files = {
        "pyproject.toml": _PYPROJECT,
        "names_only.py": _MODULE,
        "README.md": b"Eyebright rounds\n",
        "LICENSE": b"Apache-2.0\n",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Flower names a pattern as pathspec once did
        content: bytes = build_fab_from_files(files)[0]
    return content
