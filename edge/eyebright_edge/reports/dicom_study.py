"""The study a visit's DICOM pictures belong to, and what every DICOM report of the visit shares.

* Patient and study are copied from the first picture, and every picture must be of that patient: a result must not end
  up in somebody else's record. Pictures of other studies of that patient are named as other evidence.
* UIDs are made from the report's identifier: writing a report again gives the same object, not a second one.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from eyebright_common import __version__
from eyebright_common.errors import InputError
from eyebright_common.release import Eye
from eyebright_edge.reports.json_report import answered_at, report_id
from eyebright_edge.screening.visit_result import VisitResult

MAKER = "Eyebright"
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceObject:
    """A DICOM picture of the visit.

    Attributes:
        eye: Which eye it shows.
        header: Its data set without pixels.
    """

    eye: Eye
    header: Dataset


def read_source(source: Path | bytes, *, eye: Eye) -> SourceObject | None:
    """Return a picture's DICOM header; None when it is no DICOM picture."""
    try:
        header = dcmread(io.BytesIO(source) if isinstance(source, bytes) else source, stop_before_pixels=True)
    # NotImplementedError is how pydicom refuses a transfer syntax or a value it has no reader for.
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, NotImplementedError):
        return None
    # A report, a chart or an index in place of a picture is no evidence for an answer.
    return SourceObject(eye=eye, header=header) if header.get("Rows") and header.get("Columns") else None


def study_of(sources: Sequence[SourceObject]) -> Dataset:
    """Return the header of the first picture, whose study a report goes into.

    Raises:
        InputError: no picture came as DICOM, it names no study, or the pictures are of more than one patient.
    """
    if not sources:
        fix = "Ask for --pdf or --fhir: they need no study."
        raise InputError("no picture of this visit came as DICOM, so there is no study to report into", fix=fix)
    first = sources[0].header
    if not first.get("StudyInstanceUID"):
        raise InputError("the DICOM picture names no study", fix="Export the picture again from the camera software.")
    patients = {(str(s.header.get("PatientID", "")), str(s.header.get("PatientName", ""))) for s in sources}
    if len(patients) > 1:
        raise InputError(
            "the pictures are of more than one patient, so nothing is written into a record",
            value=f"{len(patients)} patients",
            fix="Screen the pictures of one patient at a time.",
        )
    return first


def copy_patient_and_study(source: Dataset, target: Dataset) -> None:
    """Copy who was photographed and in which study; what the source leaves out is there and empty."""
    for keyword in (*_PATIENT, *_STUDY):
        setattr(target, keyword, source.get(keyword, "") or "")
    if source.get("IssuerOfPatientID"):
        target.IssuerOfPatientID = source.IssuerOfPatientID


def completed(header: Dataset, first: Dataset) -> Dataset:
    """Return the header with empty values for what a report copies and a poor export leaves out."""
    made = Dataset()
    made.update(header)
    for keyword in (*_PATIENT, *_STUDY):
        if keyword not in made:
            setattr(made, keyword, first.get(keyword, "") or "")
    return made


def instance_reference(header: Dataset) -> Dataset:
    """Return how an object names another one."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def equipment(result: VisitResult) -> Dataset:
    """Return the release that answered, as contributing equipment (0018,A001)."""
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "109102", "DCM"
    purpose.CodeMeaning = "Processing Equipment"
    item = Dataset()
    item.Manufacturer, item.ManufacturerModelName = MAKER, f"{result.task} release {result.release}"
    item.SoftwareVersions = [result.release, __version__]
    item.ContributionDescription = f"Release sha256 {result.release_sha256}"
    item.ContributionDateTime = answered_at(result).strftime("%Y%m%d%H%M%S%z")
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def uid_of(result: VisitResult, part: str) -> str:
    """Return a UID made from the report's UUID (PS3.5, annex B.2)."""
    return f"2.25.{uuid.UUID(bytes=report_id(result, part).bytes).int}"


def file_bytes(made: Dataset) -> bytes:
    """Return a data set as a DICOM file."""
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
