"""What an importer is: a name, a way to recognise its folder, and a way to read it into manifest records.

* A record has the columns of manifest v1 and keeps what else the source says as further columns.
* ``patient_id_source`` is ``picture`` where the source names no patient and each picture is one of its own: only the
  search for copies then keeps together what belongs together.
* Labels are written as the source means them (``icdr_2``); what a task calls them is decided in ``grades``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from eyebright_common.manifest.importers.listing import Listing
from eyebright_common.manifest.tables import Record

OWN_PATIENT = "picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """One layout of a public or clinical data set.

    Attributes:
        name: What a person types.
        title: What it is, for people.
        recognises: Whether a folder has this layout.
        read: Its records, every file of the folder in one of them.
    """

    name: str
    title: str
    recognises: Callable[[Listing], bool]
    read: Callable[[Listing], list[Record]]


def picture_records(
    listing: Listing, rows: Iterable[tuple[str, Mapping[str, str]]], *, tables: Sequence[Path] = ()
) -> list[Record]:
    """Return one record per row and one per file without a row.

    Args:
        listing: The folder.
        rows: What the source calls the picture, and the row's columns; without ``patient_id`` the picture is a patient.
        tables: Files that were read for the rows and are no pictures.
    """
    records: list[Record] = []
    claimed: set[str] = set()
    for line, (written, columns) in enumerate(rows, start=1):
        name, problem = listing.picture(written)
        if problem is None:
            claimed.add(name)
        records.append(Record(line=line, values={**columns, "image_path": name, **_patient(columns, name)}))
        if problem == "several_files_of_that_name":
            records[-1] = Record(line=line, values=records[-1].values, problem=problem)
    return [*records, *listing.unclaimed(claimed, ignore=tables)]


def _patient(columns: Mapping[str, str], name: str) -> dict[str, str]:
    if columns.get("patient_id"):
        return {}
    return {"patient_id": PurePosixPath(name).with_suffix("").as_posix(), "patient_id_source": OWN_PATIENT}


def own_patients(records: Iterable[Record]) -> int:
    """Return how many usable records have no patient but themselves."""
    return Counter(r.values.get("patient_id_source") for r in records if r.problem is None)[OWN_PATIENT]
