"""Results of visits that tests report, with every field filled, and DICOM pictures of a study with full headers."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from dicom_objects import OP_8, write_dicom
from eyebright_common.release import Eye, Verdict
from eyebright_edge.screening.visit_result import EyeResult, PictureResult, VisitResult

AT = datetime(2026, 1, 2, 8, 30, tzinfo=UTC)
STUDY = "1.2.826.0.1.3680043.8.498.1"


def eye_result(eye: Eye, verdict: Verdict, *, reasons: tuple[str, ...] = (), score: float | None = None) -> EyeResult:
    """One eye with one picture, or with none when it is missing."""
    if verdict is Verdict.MISSING:
        return EyeResult(eye=eye, verdict=verdict)
    quality = "reject" if verdict is Verdict.UNGRADABLE else "good"
    digest = ("a" if eye is Eye.RIGHT else "b") * 64
    picture = PictureResult(
        name="Jane_Doe_1961.jpg", sha256=digest, verdict=verdict, score=score, quality=quality, reasons=reasons
    )
    return EyeResult(
        eye=eye,
        verdict=verdict,
        score=score,
        quality=quality,
        quality_reasons=reasons,
        sha256=digest,
        pictures=(picture,),
    )


def visit_result(verdict: Verdict | None = Verdict.REFER, **changed: object) -> VisitResult:
    """A visit with that answer: REFER by the right eye, both eyes negative, or the right eye ungradable."""
    right, left = Eye.RIGHT, Eye.LEFT
    eyes = {
        Verdict.REFER: (
            eye_result(right, Verdict.REFER, score=0.91),
            eye_result(left, Verdict.NO_REFERRAL, score=0.12),
        ),
        Verdict.NO_REFERRAL: (
            eye_result(right, Verdict.NO_REFERRAL, score=0.08),
            eye_result(left, Verdict.NO_REFERRAL, score=0.12),
        ),
        Verdict.UNGRADABLE: (
            eye_result(right, Verdict.UNGRADABLE, reasons=("uneven_light", "haze")),
            eye_result(left, Verdict.MISSING),
        ),
        None: (),
    }[verdict]
    advice = {
        Verdict.REFER: "advice.refer",
        Verdict.NO_REFERRAL: "advice.rescreen",
        Verdict.UNGRADABLE: "advice.retake",
        None: "advice.stop_symptoms",
    }[verdict]
    whole = VisitResult(
        number=12,
        opened_at=AT,
        closed_at=AT,
        patient="P-0042-A",
        stopped="" if verdict else "symptoms.yes",
        eyes=eyes,
        verdict=verdict,
        score=max((eye.score for eye in eyes if eye.score is not None), default=None),
        advice=advice,
        due=date(2027, 1, 2) if verdict is Verdict.NO_REFERRAL else None,
        task="fundus",
        modality="CFP",
        release="7",
        release_sha256="c" * 64,
        threshold=0.42,
        threshold_purpose="referable",
        threshold_split="validation",
        threshold_rule="highest threshold with sensitivity >= 0.87",
        camera="Handheld 3",
        unit="clinic-7",
    )
    return replace(whole, **changed)  # type: ignore[arg-type]


def op_photograph(path: Path, *, number: int = 1, patient: str = "P-0042-A", study: str = STUDY) -> Path:
    """An ophthalmic photograph with the patient and study of a real export."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    return write_dicom(
        path,
        pixels,
        sop=OP_8,
        number=number,
        PatientName="Doe^Jane",
        PatientID=patient,
        PatientBirthDate="19610203",
        PatientSex="F",
        StudyInstanceUID=study,
        StudyDate="20260102",
        StudyTime="083000",
        StudyID="S1",
        AccessionNumber="A77",
        ReferringPhysicianName="",
        SeriesInstanceUID=f"{study}.{number}",
        SeriesNumber=number,
        InstanceNumber=1,
        Modality="OP",
        Manufacturer="Maker",
        ManufacturerModelName="Handheld 3",
    )
