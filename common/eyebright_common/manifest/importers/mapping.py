"""A hospital's own map file: what its table calls the columns, and what it calls the findings.

::

    {"columns": {"image_path": "Dateiname", "patient_id": "Fallnummer", "label": "Befund"},
     "constants": {"modality": "CFP"},
     "labels": {"NPDR": "diabetic_retinopathy", "unklar": ""},
     "layout": "eyepacs"}

Every part may be left out. An empty label leaves the row out; it is counted as ``label_missing``.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from eyebright_common.documents import Document, problems_of
from eyebright_common.errors import InputError


class DataMap(Document):
    """The content of a map file.

    Attributes:
        columns: Column of manifest v1 → column of the table.
        constants: Column of manifest v1 → value for every row.
        labels: Label as written → label of the task, empty to leave the row out.
        layout: Name of an importer, where the folder should not be recognised by itself.
    """

    columns: dict[str, str] = Field(default_factory=dict)
    constants: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    layout: str | None = None


def read_map(path: Path | None) -> DataMap:
    """Return the map in ``path``, an empty one without a path.

    Raises:
        InputError: the file cannot be read or understood.
    """
    if path is None:
        return DataMap()
    try:
        return DataMap.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError("the map cannot be read", value=path, fix=f"{error.strerror}.") from None
    except ValidationError as error:
        problem = problems_of(error, whole="file")[0]
        raise InputError(f"the map cannot be used: {problem}", value=path, fix="See docs/guides/doctor.md.") from None
