"""Writing what an importer read as manifest v1, with every row that names a picture, whatever its label.

* Paths are relative to the manifest, which must therefore lie in the pictures' folder or above it.
* Where the source names no patient, what belongs together by its copies can be given one patient: ``changed``.
* It names patients and files: mode 0600, for this hospital's eyes.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.manifest.rows import COLUMNS
from eyebright_common.manifest.tables import Record

# Path as written, without detours, and frame.
Picture = tuple[str, int]


def write_records(
    path: Path, records: Sequence[Record], *, root: Path, changed: Mapping[Picture, Mapping[str, str]] | None = None
) -> int:
    """Write the usable records as a manifest and return how many.

    Args:
        path: The manifest to write, ``.csv``.
        records: As read; those with a problem are no rows.
        root: What their paths are relative to.
        changed: (path, frame) → columns that take the place of the source's.

    Raises:
        InputError: the manifest would lie beside the pictures, not above them.
    """
    folder = path.absolute().parent
    if not root.is_relative_to(folder):
        raise InputError(
            "the manifest would not lie above its pictures", value=path, fix=f"Write it into {root} or above."
        )
    above = root.relative_to(folder)
    rows = [_columns(record, above, changed or {}) for record in records if record.problem is None]
    further = sorted({column for row in rows for column in row} - set(COLUMNS))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=[*COLUMNS, *further], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode(), mode=0o600)
    return len(rows)


def _columns(record: Record, above: Path, changed: Mapping[Picture, Mapping[str, str]]) -> dict[str, str]:
    written = os.path.normpath(record.values["image_path"].replace("\\", "/"))
    frame = record.values.get("frame_index", "")
    picture = (written, int(frame) if frame.isdecimal() else 1)
    return {**record.values, **changed.get(picture, {}), "image_path": (above / written).as_posix()}
