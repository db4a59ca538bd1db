"""DICOM objects: what is read from them, and which are refused."""

import io

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from eyebright_common.errors import ImageError
from eyebright_common.imaging import decode_image
from pictures import eye

OP = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
OPT = "1.2.840.10008.5.1.4.1.1.77.1.5.4"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def dicom(pixels=None, *, sop=OP, photometric="RGB", frames=None, bits=8, **extra):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = sop, "1.2.3.4"
    if pixels is not None:
        shape = pixels.shape[1:] if frames else pixels.shape
        data.Rows, data.Columns = shape[:2]
        data.SamplesPerPixel = 3 if photometric == "RGB" else 1
        if photometric == "RGB":
            data.PlanarConfiguration = 0
        data.PhotometricInterpretation = photometric
        data.BitsAllocated = 8 if bits == 8 else 16
        data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, 0
        if frames:
            data.NumberOfFrames = frames
        data.PixelData = pixels.tobytes()
    for name, value in extra.items():
        setattr(data, name, value)
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def reason_of(data, **options):
    with pytest.raises(ImageError) as caught:
        decode_image(data, **options)
    return caught.value.reason


def test_an_ophthalmic_photograph_comes_back_pixel_for_pixel():
    picture = eye(3, 96)
    assert np.array_equal(decode_image(dicom(picture)), picture)


def test_a_volume_gives_its_first_frame_or_the_one_named():
    volume = np.stack([np.full((48, 64), level, np.uint8) for level in (10, 20, 30)])
    data = dicom(volume, sop=OPT, photometric="MONOCHROME2", frames=3)
    assert [int(decode_image(data, frame=n)[0, 0, 0]) for n in (1, 3)] == [10, 30]
    assert reason_of(data, frame=4) == "no_such_frame"


def test_inverted_grey_is_turned_back():
    data = dicom(np.full((48, 64), 250, np.uint8), photometric="MONOCHROME1")
    assert decode_image(data)[0, 0].tolist() == [5, 5, 5]


def test_twelve_stored_bits_fill_the_range():
    grey = np.linspace(0, 4095, 48 * 64).reshape(48, 64).astype(np.uint16)
    decoded = decode_image(dicom(grey, sop=OPT, photometric="MONOCHROME2", bits=12))
    assert (int(decoded.min()), int(decoded.max())) == (0, 255)


def test_a_report_inside_dicom_is_refused_by_name():
    assert reason_of(dicom(sop=PDF, EncapsulatedDocument=b"%PDF-1.7 ")) == "encapsulated_pdf"


def test_an_object_without_pixels_is_refused():
    assert reason_of(dicom()) == "no_pixels"


def test_pixels_cut_short_are_refused():
    data = dicom(eye(3, 96))
    assert reason_of(data[: len(data) // 2]) in {"truncated", "unreadable"}


def test_an_absurd_size_is_refused_before_the_pixels_are_read():
    data = dicom(np.zeros((48, 64), np.uint8), photometric="MONOCHROME2", Rows=60_000, Columns=60_000)
    assert reason_of(data) == "too_large"
