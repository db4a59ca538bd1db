"""The passphrase of the offline keys, from the environment: an option would stand in the process list."""

from __future__ import annotations

import os

PASSPHRASE_VARIABLE = "EYEBRIGHT_KEY_PASSPHRASE"


def passphrase() -> bytes | None:
    """Return the passphrase, None when there is none."""
    return os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None
