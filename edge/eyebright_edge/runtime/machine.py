"""Which machine this is, as far as engines care: the board from its own files, the GPU from the worker's probe."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eyebright_common.release.engines import UNKNOWN, Fingerprint

# A board's device tree, else what a computer's firmware calls it.
_BOARD_FILES = ("proc/device-tree/model", "sys/class/dmi/id/product_name")
_SYSTEM_FILE = "etc/nv_tegra_release"


def fingerprint(probed: Mapping[str, Any] | None = None, *, root: Path = Path("/")) -> Fingerprint:
    """Return this machine's fingerprint.

    Args:
        probed: What the TensorRT worker answered to ``probe``; None where there is none.
        root: Where the file system begins.
    """
    found = probed or {}
    return Fingerprint(
        machine=platform.machine() or UNKNOWN,
        board=next((text for name in _BOARD_FILES if (text := _first_line(root / name))), UNKNOWN)[:120],
        system=_first_line(root / _SYSTEM_FILE)[:200],
        gpu=_printable(str(found.get("gpu", "")))[:120] or UNKNOWN,
        compute_capability=str(found.get("compute_capability", UNKNOWN)),
        cuda=int(found.get("cuda", 0)),
        tensorrt=_printable(str(found.get("tensorrt", "")))[:120] or UNKNOWN,
    )


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(4096)
    except OSError:
        return ""
    return _printable(content.split(b"\n")[0].decode("ascii", "replace"))


def _printable(text: str) -> str:
    return "".join(character for character in text if " " <= character <= "~").strip()
