"""Writing the reports of a visit where a person asked for them: PDF, FHIR, DICOM.

Each is made whole before the first is written, so that a missing font or a picture of another patient leaves no half
set behind. Files are readable by their owner alone: they name a patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from eyebright_common.digests import sha256_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_common.release import Eye
from eyebright_edge.reports.clinic import Clinic, read_clinic
from eyebright_edge.reports.json_report import Seen, screened_result, seen_pictures
from eyebright_edge.screening.session import ChosenRelease
from eyebright_edge.screening.visit import ScreenedVisit
from eyebright_edge.screening.visit_result import VisitResult

DICOM_PDF, DICOM_SR = "report.dcm", "structured-report.dcm"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedReports:
    """Which reports a person asked for.

    Attributes:
        pdf: File for the printed page.
        fhir: File for the FHIR bundle.
        dicom: Folder for the two DICOM objects.
        language: Of the printed page; None for the clinic's.
    """

    pdf: Path | None = None
    fhir: Path | None = None
    dicom: Path | None = None
    language: str | None = None


def write_reports(
    wanted: WantedReports,
    result: VisitResult,
    *,
    clinic: Clinic,
    seen: Seen,
    pictures: Sequence[tuple[Path, Eye]],
) -> tuple[Path, ...]:
    """Write the reports and return their files.

    Args:
        wanted: Which, and where to.
        result: The visit.
        clinic: Who hands them out.
        seen: The picture of each eye to print.
        pictures: The visit's files, for the study that DICOM reports go into.

    Raises:
        InputError: no such language, no font, no study, or a file cannot be written.
    """
    made: dict[Path, bytes] = {}
    page = b""
    if wanted.pdf is not None or wanted.dicom is not None:
        from eyebright_edge.reports.pdf_report import pdf_report

        page = pdf_report(result, clinic=clinic, language=wanted.language, seen=seen)
    if wanted.pdf is not None:
        made[wanted.pdf] = page
    if wanted.fhir is not None:
        from eyebright_edge.reports.fhir_report import bundle_bytes, fhir_bundle

        made[wanted.fhir] = bundle_bytes(fhir_bundle(result, clinic=clinic.name, pdf=page or None))
    if wanted.dicom is not None:
        made |= _dicom(wanted.dicom, result, page, pictures)
    for path, content in made.items():
        try:
            write_bytes(path, content, mode=0o600)
        except OSError as error:
            found = f"{path} ({error.strerror})"
            raise InputError("the report cannot be written", value=found, fix="Name another place.") from error
    return tuple(made)


def report_screened(
    wanted: WantedReports,
    visit: ScreenedVisit,
    chosen: ChosenRelease,
    given: Sequence[tuple[Path, Eye]],
    *,
    at: datetime,
    patient: str = "",
    notices: tuple[str, ...] = (),
) -> tuple[Path, ...]:
    """Write the reports of pictures that were screened in one go, and return their files.

    Args:
        wanted: Which, and where to.
        visit: What was screened.
        chosen: What answered.
        given: The pictures' files, each with its eye.
        at: When, aware.
        patient: The patient's code.
        notices: What a person must be told, in English.

    Raises:
        InputError: as ``write_reports``; or the clinic's file cannot be used.
    """
    root = chosen.home.root if chosen.home else None
    digests = {str(path): digest for path, _ in given if (digest := _digest(path)) is not None}
    result = screened_result(visit, chosen.release, at=at, patient=patient, notices=notices, digests=digests)
    return write_reports(wanted, result, clinic=read_clinic(root), seen=seen_pictures(visit), pictures=given)


def _digest(path: Path) -> str | None:
    with suppress(OSError):
        return sha256_of(path)
    return None


def _dicom(folder: Path, result: VisitResult, page: bytes, pictures: Sequence[tuple[Path, Eye]]) -> dict[Path, bytes]:
    from eyebright_edge.reports.dicom_pdf import encapsulated_pdf
    from eyebright_edge.reports.dicom_report import structured_report
    from eyebright_edge.reports.dicom_study import read_source

    read = [read_source(path, eye=eye) for path, eye in pictures]
    sources = [source for source in read if source is not None]
    return {
        folder / DICOM_PDF: encapsulated_pdf(result, sources, page),
        folder / DICOM_SR: structured_report(result, sources),
    }
