"""Writing a manifest, durably, in the columns that reading expects."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from eyebright_common.durable import write_bytes
from eyebright_common.manifest.rows import COLUMNS, Row


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write ``rows`` as CSV, UTF-8; other columns follow the known ones in alphabetical order."""
    extra = sorted({column for row in rows for column in row.extra})
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=[*COLUMNS, *extra], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.as_columns() for row in rows)
    write_bytes(path, text.getvalue().encode())
