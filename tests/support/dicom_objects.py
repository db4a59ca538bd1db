"""DICOM objects that tests write: photographs, volumes, secondary captures, with the headers of a real export."""

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

STORAGE = "1.2.840.10008.5.1.4.1.1."
OP_8, OP_16, OPT = STORAGE + "77.1.5.1", STORAGE + "77.1.5.2", STORAGE + "77.1.5.4"
CAPTURE, PDF = STORAGE + "7", STORAGE + "104.1"


def write_dicom(path: Path, pixels: np.ndarray | None, *, sop: str, number: int = 1, **fields: object) -> Path:
    """Write one object; pixels are ``[H, W, 3]`` colour, ``[H, W]`` grey or ``[N, H, W]`` frames, uint8 or uint16."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = sop, f"1.2.3.{number}"
    if pixels is not None:
        _set_pixels(data, pixels)
    for name, value in fields.items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def _set_pixels(data: FileDataset, pixels: np.ndarray) -> None:
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    frames = pixels.ndim == 3 and not colour
    data.Rows, data.Columns = pixels.shape[1:] if frames else pixels.shape[:2]
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, 0
    if frames:
        data.NumberOfFrames = len(pixels)
    data.PixelData = pixels.tobytes()
