"""A DICOM tree or DICOMDIR as a data set."""

import gc
import warnings

import numpy as np
from pydicom.fileset import FileSet

from dicom_objects import CAPTURE, OP_8, OP_16, OPT, PDF, write_dicom
from eyebright_common.imaging import decode_image
from eyebright_common.manifest.importers import judge, read_source
from pictures import b_scan, eye


def tree(tmp_path):
    volume = np.stack([b_scan(n)[:, :, 0] for n in range(3)])
    write_dicom(tmp_path / "cnv/IM1", volume, sop=OPT, number=1, Modality="OPT", PatientID="7", Laterality="R",
                StudyInstanceUID="1.9", Manufacturer="Heidelberg", ManufacturerModelName="Spectralis")  # fmt: skip
    write_dicom(tmp_path / "drusen/IM2.dcm", b_scan(9)[:, :, 0], sop=CAPTURE, number=2, Modality="OPT", PatientID="7",
                IssuerOfPatientID="other")  # fmt: skip
    write_dicom(tmp_path / "drusen/report.dcm", None, sop=PDF, number=3, EncapsulatedDocument=b"%PDF-1.7 ")
    (tmp_path / "drusen/short.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00")
    return tmp_path


def test_a_volume_is_one_row_per_frame_and_every_other_object_is_counted(tmp_path):
    judged = judge(read_source(tree(tmp_path)), task="oct")
    assert [(row.name, row.frame, row.eye) for row in judged.manifest.rows] == [
        ("cnv/IM1", 1, "R"), ("cnv/IM1", 2, "R"), ("cnv/IM1", 3, "R"), ("drusen/IM2.dcm", 1, "U"),
    ]  # fmt: skip
    assert judged.manifest.left_out["encapsulated_pdf"] == 1
    assert sum(judged.manifest.left_out.values()) == 2
    assert judged.manifest.rows[0].camera == "Heidelberg Spectralis"


def test_one_number_of_two_issuers_is_two_patients(tmp_path):
    judged = judge(read_source(tree(tmp_path)), task="oct")
    assert {row.patient_id for row in judged.manifest.rows} == {"7", "other|7"}


def test_photographs_of_eight_and_sixteen_bits_are_fundus_rows_with_labels_from_a_table(tmp_path):
    write_dicom(tmp_path / "a.dcm", eye(1, 96), sop=OP_8, number=1, PatientID="1", ImageLaterality="L")
    deep = eye(2, 96)[:, :, 1].astype(np.uint16) * 257
    write_dicom(tmp_path / "b.dcm", deep, sop=OP_16, number=2, PatientID="2", PatientAge="066Y")
    (tmp_path / "labels.csv").write_text("sop_instance_uid,patient_id,eye,label\n1.2.3.1,,,normal\n,2,,cataract\n")
    judged = judge(read_source(tmp_path), task=None)
    assert [(row.label, row.eye, row.age_band) for row in judged.manifest.rows] == [
        ("normal", "L", ""), ("cataract", "U", "60-69"),
    ]  # fmt: skip
    assert decode_image(judged.manifest.rows[1].image_path).shape == (96, 96, 3)


def test_a_secondary_capture_that_does_not_say_what_it_is_has_no_modality(tmp_path):
    write_dicom(tmp_path / "normal/a.dcm", eye(1, 96), sop=CAPTURE, PatientID="1", Modality="OT")
    judged = judge(read_source(tmp_path), task="fundus")
    assert judged.manifest.left_out == {"modality_unknown": 1}


def test_a_header_value_that_is_not_what_it_should_be_is_not_quoted_on_any_stream(tmp_path, recwarn, capfd):
    path = write_dicom(tmp_path / "normal/a.dcm", eye(1, 96), sop=OP_8, PatientID="1", StudyDate="19500317")
    path.write_bytes(path.read_bytes().replace(b"19500317", b"HuberMar"))
    assert len(judge(read_source(tmp_path), task="fundus").manifest.rows) == 1
    decode_image(path)
    assert not recwarn.list
    assert "Huber" not in "".join(capfd.readouterr())


def write_disc(tmp_path):
    disc = FileSet()
    for number, label in enumerate(("normal", "cataract"), start=1):
        source = write_dicom(tmp_path / "in" / f"{label}.dcm", eye(number, 96), sop=OP_8, number=number,
                             PatientID=str(number), PatientName="", StudyInstanceUID=f"1.5.{number}",
                             SeriesInstanceUID=f"1.6.{number}", Modality="OP", StudyDate="20200101", StudyTime="1000",
                             StudyID="1", SeriesNumber=1, InstanceNumber=1)  # fmt: skip
        disc.add(source)
    disc.write(tmp_path / "disc")
    with warnings.catch_warnings():
        # pydicom leaves its temporary folder to the garbage collector, which complains about that.
        warnings.simplefilter("ignore", ResourceWarning)
        del disc
        gc.collect()


def test_what_a_dicomdir_names_and_is_gone_is_missing(tmp_path):
    write_disc(tmp_path)
    (tmp_path / "disc/labels.csv").write_text("patient_id,label\n1,normal\n2,cataract\n")
    assert len(judge(read_source(tmp_path / "disc/DICOMDIR"), task="fundus").manifest.rows) == 2
    gone = next(path for path in (tmp_path / "disc").rglob("IM*") if path.is_file())
    gone.unlink()
    judged = judge(read_source(tmp_path / "disc"), task="fundus")
    assert (len(judged.manifest.rows), judged.manifest.left_out) == (1, {"file_missing": 1})
