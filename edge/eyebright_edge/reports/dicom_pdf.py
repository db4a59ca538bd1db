"""The printed report as a DICOM object in the study the pictures came from: Encapsulated PDF Storage (PS3.3 A.45.1)."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from eyebright_common import __version__
from eyebright_edge.reports.dicom_study import (
    MAKER,
    SourceObject,
    copy_patient_and_study,
    equipment,
    file_bytes,
    instance_reference,
    study_of,
    uid_of,
)
from eyebright_edge.reports.json_report import answered_at
from eyebright_edge.screening.visit_result import VisitResult


def encapsulated_pdf(result: VisitResult, sources: Sequence[SourceObject], pdf: bytes) -> bytes:
    """Return the printed report as a DICOM object (Encapsulated PDF Storage) in the pictures' study.

    Args:
        result: The visit.
        sources: Its pictures that came as DICOM.
        pdf: The printed report.

    Raises:
        InputError: no picture came as DICOM, or they are of more than one patient.
    """
    first = study_of(sources)
    at = answered_at(result)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    meta.MediaStorageSOPInstanceUID = UID(uid_of(result, "pdf"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = Dataset()
    made.file_meta = meta
    copy_patient_and_study(first, made)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = EncapsulatedPDFStorage, uid_of(result, "pdf")
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber = uid_of(result, "pdf-series"), 9001, 1
    made.Modality, made.ConversionType = "DOC", "WSD"
    made.Manufacturer, made.ManufacturerModelName = MAKER, result.task
    made.DeviceSerialNumber, made.SoftwareVersions = result.unit or "none", [result.release, __version__]
    made.ContentDate, made.ContentTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    made.AcquisitionDateTime = at.strftime("%Y%m%d%H%M%S%z")
    made.BurnedInAnnotation = "YES"
    made.DocumentTitle, made.ConceptNameCodeSequence = "Retinal screening", []
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.SourceInstanceSequence = [instance_reference(source.header) for source in sources]
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.ContributingEquipmentSequence = [equipment(result)]
    return file_bytes(made)
