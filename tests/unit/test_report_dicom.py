"""DICOM reports: in the pictures' own study, valid by three judges, and never in another patient's record."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage

from eyebright_common.errors import InputError
from eyebright_common.release import Eye, Verdict
from eyebright_edge.reports.dicom_pdf import encapsulated_pdf
from eyebright_edge.reports.dicom_report import structured_report
from eyebright_edge.reports.dicom_study import SourceObject, read_source
from visit_results import STUDY, op_photograph, visit_result

PAGE = b"%PDF-1.4 odd"
needs_highdicom = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("highdicom") is None, reason="highdicom is not installed"
)


@pytest.fixture
def sources(tmp_path: Path) -> list[SourceObject]:
    read = [
        read_source(op_photograph(tmp_path / "right.dcm", number=1), eye=Eye.RIGHT),
        read_source(op_photograph(tmp_path / "left.dcm", number=2), eye=Eye.LEFT),
    ]
    return [source for source in read if source is not None]


def _read(content: bytes):
    return dcmread(io.BytesIO(content))


def test_the_page_goes_into_the_pictures_study(sources: list[SourceObject]) -> None:
    made = _read(encapsulated_pdf(visit_result(), sources, PAGE))
    assert made.SOPClassUID == EncapsulatedPDFStorage
    assert (made.StudyInstanceUID, made.PatientID, made.AccessionNumber) == (STUDY, "P-0042-A", "A77")
    assert made.SeriesInstanceUID not in {source.header.SeriesInstanceUID for source in sources}
    assert made.EncapsulatedDocument[: made.EncapsulatedDocumentLength] == PAGE
    referenced = [item.ReferencedSOPInstanceUID for item in made.SourceInstanceSequence]
    assert referenced == [source.header.SOPInstanceUID for source in sources]
    assert "release 7" in made.ContributingEquipmentSequence[0].ManufacturerModelName


@needs_highdicom
def test_the_structured_report_has_a_group_for_each_eye(sources: list[SourceObject]) -> None:
    from highdicom.sr import srread

    made = srread(io.BytesIO(structured_report(visit_result(), sources)))
    assert made.SOPClassUID == Comprehensive3DSRStorage
    assert made.StudyInstanceUID == STUDY
    groups = made.content.get_image_measurement_groups()
    answers = [
        next(e for e in group.get_qualitative_evaluations() if e.name.value == "answer").value.meaning
        for group in groups
    ]
    assert answers == ["Refer", "No referral"]
    sides = [group.finding_sites[0].laterality.meaning for group in groups]
    assert sides == ["Right", "Left"]
    assert [group.get_measurements()[0].value for group in groups] == [0.91, 0.12]
    assert made.VerificationFlag == "UNVERIFIED"
    assert made.PreliminaryFlag == "PRELIMINARY"


@needs_highdicom
def test_an_ungradable_eye_has_reasons_and_no_score(sources: list[SourceObject]) -> None:
    from highdicom.sr import srread

    made = srread(io.BytesIO(structured_report(visit_result(Verdict.UNGRADABLE), sources[:1])))
    right, left = made.content.get_image_measurement_groups()
    words = [e.value.meaning for e in right.get_qualitative_evaluations()]
    assert words == ["Ungradable", "Not gradable", "Uneven light", "Haze"]
    assert right.get_measurements() == []
    assert [e.value.meaning for e in left.get_qualitative_evaluations()] == ["Missing", "Missing"]


@needs_highdicom
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("verdict", [Verdict.REFER, Verdict.NO_REFERRAL, Verdict.UNGRADABLE])
def test_dciodvfy_finds_no_error(tmp_path: Path, sources: list[SourceObject], verdict: Verdict) -> None:
    result = visit_result(verdict)
    for content in (encapsulated_pdf(result, sources, PAGE), structured_report(result, sources)):
        (tmp_path / "made.dcm").write_bytes(content)
        done = subprocess.run(["dciodvfy", str(tmp_path / "made.dcm")], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        # Our own coding scheme is declared in the object, but not among the terms the tool knows.
        told = [line for line in lines if line.startswith(("Error", "Warning")) and "<99EYEBRIGHT>" not in line]
        assert told == []


@needs_highdicom
def test_writing_it_again_gives_the_same_object(sources: list[SourceObject]) -> None:
    result = visit_result()
    assert structured_report(result, sources) == structured_report(result, sources)
    assert encapsulated_pdf(result, sources, PAGE) == encapsulated_pdf(result, sources, PAGE)


def test_pictures_of_two_patients_are_refused(tmp_path: Path, sources: list[SourceObject]) -> None:
    other = read_source(op_photograph(tmp_path / "x.dcm", number=3, patient="P-9"), eye=Eye.LEFT)
    assert other is not None
    with pytest.raises(InputError, match="more than one patient"):
        encapsulated_pdf(visit_result(), [sources[0], other], PAGE)


@needs_highdicom
def test_pictures_of_two_studies_of_one_patient_are_named_as_evidence(
    tmp_path: Path, sources: list[SourceObject]
) -> None:
    other = read_source(op_photograph(tmp_path / "x.dcm", number=3, study=f"{STUDY}.9"), eye=Eye.LEFT)
    assert other is not None
    made = _read(structured_report(visit_result(), [sources[0], other]))
    assert made.StudyInstanceUID == STUDY
    elsewhere = made.PertinentOtherEvidenceSequence[0].StudyInstanceUID
    assert elsewhere == f"{STUDY}.9"


def test_a_picture_that_is_no_dicom_object_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 no")
    assert read_source(tmp_path / "a.jpg", eye=Eye.RIGHT) is None
    with pytest.raises(InputError, match="no picture of this visit came as DICOM"):
        encapsulated_pdf(visit_result(), [], PAGE)


@needs_highdicom
def test_a_header_that_names_no_series_is_one_clear_line(tmp_path: Path, sources: list[SourceObject]) -> None:
    poor = sources[0].header
    del poor.SeriesInstanceUID
    with pytest.raises(InputError, match="too poor for a report"):
        structured_report(visit_result(), [SourceObject(eye=Eye.RIGHT, header=poor)])
