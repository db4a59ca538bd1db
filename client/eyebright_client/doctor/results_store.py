"""Results per file, kept between runs, so that a killed run goes on and a second run is quick.

* The key is a digest of path, size, time of change, frame, modality and the versions of what judges: a file that
  changed in any of them is looked at again. No name is stored.
* SQLite, one transaction per batch: after a kill what was finished is there and nothing is half there. A damaged file
  is begun anew; it holds nothing that cannot be computed again.
* It describes pictures of patients: mode 0600, and never shared.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from eyebright_client.doctor.picture import PictureFacts
from eyebright_common.closing import Closing
from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.imaging.gate import quality_gate
from eyebright_common.manifest import Row

_VERSION = "doctor-1"
_TABLE = "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, facts TEXT NOT NULL)"


def result_key(row: Row) -> str:
    """Return the key of a row's result; empty for a file that is not there, whose result is not kept."""
    try:
        found = row.image_path.stat()
    except OSError:
        return ""
    judges = (_VERSION, PREPROCESSING_ID, quality_gate().version)
    parts = (*judges, row.image_path, found.st_size, found.st_mtime_ns, row.frame, row.modality)
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


class ResultsStore(Closing):
    """The results of one doctor's folder."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made before SQLite opens it, so that it is never readable by others, not even for a moment.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        self._connection = _opened(path)

    def known(self, keys: Iterable[str]) -> dict[str, PictureFacts]:
        """Return the results that are there."""
        wanted = set(keys)
        rows = self._connection.execute("SELECT key, facts FROM results")
        return {key: PictureFacts.from_json(facts) for key, facts in rows if key in wanted}

    def keep(self, results: Sequence[tuple[str, PictureFacts]]) -> None:
        """Store results in one transaction."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?)",
                [(key, facts.to_json()) for key, facts in results if key],
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    try:
        connection.execute(_TABLE)
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.DatabaseError:
        connection.close()
        path.write_bytes(b"")
        connection = sqlite3.connect(path)
        connection.execute(_TABLE)
    return connection
