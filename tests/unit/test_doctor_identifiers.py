"""What a picture file says about a person: kinds are found, content is never given."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dicom_objects import OP_8, write_dicom
from eyebright_common.imaging import field_of_view
from eyebright_common.imaging.burned_in import burned_in_text
from eyebright_common.imaging.identifiers import embedded_identifiers, name_identifiers
from pictures import b_scan, encoded, eye


def jpeg(**tags):
    exif = Image.Exif()
    for tag, value in tags.get("plain", {}).items():
        exif[tag] = value
    for tag, value in tags.get("inner", {}).items():
        exif.get_ifd(0x8769)[tag] = value
    for tag, value in tags.get("gps", {}).items():
        exif.get_ifd(0x8825)[tag] = value
    return encoded(eye(1, 96), "JPEG", exif=exif)


def test_a_picture_without_metadata_has_no_identifiers():
    assert embedded_identifiers(encoded(eye(1, 96), "JPEG")) == ()
    assert embedded_identifiers(encoded(eye(1, 96), "PNG", dpi=(72, 72))) == ()


def test_each_kind_of_exif_field_is_found():
    assert embedded_identifiers(jpeg(plain={0x013B: "Dr Huber"})) == ("person",)
    assert embedded_identifiers(jpeg(plain={0x010E: "Maria Huber *1950"})) == ("free_text",)
    assert embedded_identifiers(jpeg(inner={0x9003: "2020:01:02 10:00:00", 0xA431: "SN1"})) == (
        "serial_number",
        "capture_time",
    )
    assert embedded_identifiers(jpeg(gps={1: "N", 2: (48.0, 8.0, 11.0)})) == ("location",)


def test_comments_of_jpeg_and_png_are_free_text():
    assert embedded_identifiers(encoded(eye(1, 96), "JPEG", comment=b"Huber")) == ("free_text",)
    text = PngInfo()
    text.add_text("Patient", "Huber")
    buffer = io.BytesIO()
    Image.fromarray(eye(1, 96)).save(buffer, "PNG", pnginfo=text)
    assert embedded_identifiers(buffer.getvalue()) == ("free_text",)


def test_a_dicom_header_names_the_patient_until_it_says_that_it_was_removed(tmp_path):
    named = write_dicom(
        tmp_path / "a.dcm", eye(1, 96), sop=OP_8, PatientName="Huber^Maria", PatientBirthDate="19500101"
    )
    assert embedded_identifiers(named.read_bytes()) == ("patient",)
    removed = write_dicom(tmp_path / "b.dcm", eye(1, 96), sop=OP_8, PatientID="X7", PatientIdentityRemoved="YES")
    assert embedded_identifiers(removed.read_bytes()) == ()


@pytest.mark.parametrize("data", [b"", b"words only", b"\xff\xd8\xff\xe1\x00\x10Exif", bytes(128) + b"DICM\x00\x01"])
def test_a_broken_file_says_nothing(data):
    assert embedded_identifiers(data) == ()


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("scans/Huber_Maria/1.jpg", ("person_name",)),
        ("19500317_left.jpg", ("date",)),
        ("p/17.03.1950.jpg", ("date",)),
        ("HUBER Maria 20200103 1234567890.dcm", ("date", "person_name", "long_number")),
        ("CNV/CNV-1016042-1.jpeg", ()),
        ("train/10_left.jpeg", ()),
        ("Diabetic Retinopathy/Left Eye_001.png", ()),
        ("train_images/0a4e1a29ffff.png", ()),
    ],
)
def test_names_and_dates_in_paths_are_found(name, kinds):
    assert name_identifiers(name) == kinds


def written(image, text, at):
    return cv2.putText(image.copy(), text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (230, 230, 230), 1, cv2.LINE_AA)


def test_letters_beside_the_retina_are_seen_and_the_retina_is_not_taken_for_letters():
    wide = np.zeros((480, 640, 3), np.uint8)
    wide[:, 80:560] = eye(3, 480)
    field = field_of_view(wide)
    assert not burned_in_text(wide, field=field)
    assert burned_in_text(written(wide, "HUBER 1950", (6, 470)), field=field)


def test_letters_in_a_b_scan_are_seen():
    scan = b_scan(2, 500, 380)
    assert not burned_in_text(scan)
    assert burned_in_text(written(scan, "HUBER 1950", (6, 370)))
