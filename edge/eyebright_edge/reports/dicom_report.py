"""A visit as a DICOM structured report (TID 1500), in the study its pictures came from.

* Only where the pictures came as DICOM: a unit with a JPEG camera is never made to invent a study.
* The structured report has a measurement group per eye: site and laterality, quality, the answer or why there is none,
  the score as a probability. Codes are DICOM's and SNOMED CT's; the answers, which have no standard code that we could
  verify, are under the private scheme ``99EYEBRIGHT``.
* The release that answered is the observer and the contributing equipment. The report is neither final nor verified: no
  person has read it.

It needs ``highdicom`` (``pip install eyebright[dicom]``) and is loaded by nobody who does not ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom import Dataset

from eyebright_common import __version__
from eyebright_common.errors import EyebrightError, InputError
from eyebright_common.release import Eye
from eyebright_edge.reports.dicom_study import (
    MAKER,
    SourceObject,
    completed,
    equipment,
    file_bytes,
    study_of,
    uid_of,
)
from eyebright_edge.reports.json_report import answered_at
from eyebright_edge.screening.visit_result import EyeResult, VisitResult

_SCHEME = "99EYEBRIGHT"


def structured_report(result: VisitResult, sources: Sequence[SourceObject]) -> bytes:
    """Return the visit as a Comprehensive 3D SR (TID 1500) in the pictures' study.

    Raises:
        InputError: no picture came as DICOM, they are of more than one patient, or a picture's header lacks what a
            reference needs.
        EyebrightError: ``highdicom`` is not installed.
    """
    first = study_of(sources)
    sr = _highdicom()
    content = sr.MeasurementReport(
        observation_context=_observed_by(sr, result),
        procedure_reported=_code(sr, "DCM", *_procedure(result)),
        title=_code(sr, "DCM", "126000", "Imaging Measurement Report"),
        imaging_measurements=[
            _eye_group(sr, result, eye, [s.header for s in sources if s.eye is eye.eye]) for eye in result.eyes
        ],
        referenced_images=[source.header for source in sources],
    )
    try:
        made = sr.Comprehensive3DSR(
            evidence=[completed(source.header, first) for source in sources],
            content=content[0],
            series_instance_uid=uid_of(result, "sr-series"),
            series_number=9002,
            sop_instance_uid=uid_of(result, "sr"),
            instance_number=1,
            manufacturer=MAKER,
            is_complete=True,
            is_final=False,
            is_verified=False,
        )
    except (AttributeError, ValueError, TypeError) as error:
        fix = "Export the picture again from the camera software; JSON, PDF and FHIR need no such header."
        raise InputError("the picture's DICOM header is too poor for a report", value=error, fix=fix) from error
    at = answered_at(result)
    made.ContentDate, made.ContentTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    made.InstanceCreationDate, made.InstanceCreationTime = made.ContentDate, made.ContentTime
    made.ManufacturerModelName, made.DeviceSerialNumber = result.task, result.unit or "none"
    made.SoftwareVersions = [result.release, __version__]
    made.CodingSchemeIdentificationSequence = [_private_scheme()]
    made.ContributingEquipmentSequence = [equipment(result)]
    return file_bytes(made)


def _eye_group(sr: Any, result: VisitResult, eye: EyeResult, images: Sequence[Dataset]) -> Any:
    quality = {"good": "good", "usable": "usable", "": "missing"}.get(eye.quality, "not gradable")
    evaluations = [
        sr.QualitativeEvaluation(
            name=_code(sr, _SCHEME, "answer", "Screening answer"),
            value=_code(sr, _SCHEME, _slug(eye.verdict.value), eye.verdict.value.capitalize()),
        ),
        sr.QualitativeEvaluation(
            name=_code(sr, _SCHEME, "quality", "Picture quality"),
            value=_code(sr, _SCHEME, _slug(quality), quality.capitalize()),
        ),
        *(
            sr.QualitativeEvaluation(
                name=_code(sr, _SCHEME, "reason", "Reason for the picture quality"),
                value=_code(sr, _SCHEME, _slug(reason), reason.replace("_", " ").capitalize()),
            )
            for reason in eye.quality_reasons
        ),
    ]
    score = [] if eye.score is None else [_score(sr, result, eye.score)]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=uid_of(result, f"eye-{eye.eye.value}"), identifier=f"Eye {eye.eye.value}"
        ),
        finding_sites=[_site(sr, eye.eye)],
        qualitative_evaluations=evaluations,
        measurements=score,
        source_images=[sr.SourceImageForMeasurementGroup.from_source_image(image) for image in images],
        algorithm_id=_algorithm(sr, result),
    )


def _score(sr: Any, result: VisitResult, score: float) -> Any:
    return sr.Measurement(
        name=_code(sr, _SCHEME, "score", "Probability of a referable finding"),
        value=round(score, 4),
        unit=_code(sr, "UCUM", "1", "no units"),
    )


def _algorithm(sr: Any, result: VisitResult) -> Any:
    return sr.AlgorithmIdentification(
        name=f"{MAKER} {result.task}",
        version=result.release,
        parameters=[
            f"release_sha256={result.release_sha256}",
            f"threshold={result.threshold:g} ({result.threshold_purpose})",
            f"software={__version__}",
        ],
    )


def _site(sr: Any, eye: Eye) -> Any:
    sides = {Eye.RIGHT: ("24028007", "Right"), Eye.LEFT: ("7771000", "Left")}
    side = _code(sr, "SCT", *sides[eye]) if eye in sides else None
    return sr.FindingSite(anatomic_location=_code(sr, "SCT", "5665001", "Retina"), laterality=side)


def _observed_by(sr: Any, result: VisitResult) -> Any:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid_of(result, "unit"),
        name=result.unit or MAKER,
        manufacturer_name=MAKER,
        model_name=f"{result.task} release {result.release}",
        serial_number=result.unit or None,
    )
    context = sr.ObserverContext(
        observer_type=_code(sr, "DCM", "121007", "Device"), observer_identifying_attributes=device
    )
    return sr.ObservationContext(observer_device_context=context)


def _procedure(result: VisitResult) -> tuple[str, str]:
    return ("OPT", "Ophthalmic Tomography") if result.modality == "OCT" else ("OP", "Ophthalmic Photography")


def _code(sr: Any, scheme: str, value: str, meaning: str) -> Any:
    return sr.CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


def _private_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = _SCHEME, "Eyebright screening answers"
    item.CodingSchemeResponsibleOrganization = MAKER
    return item


def _slug(words: str) -> str:
    # A code value has at most 16 characters.
    return words.lower().replace(" ", "-").replace("_", "-")[:16]


def _highdicom() -> Any:
    try:
        import highdicom.sr
    except ImportError as error:
        fix = "Run `pip install 'eyebright[dicom]'`, or ask for --pdf or --fhir."
        raise EyebrightError("structured reports need the package highdicom", fix=fix) from error
    return highdicom.sr
