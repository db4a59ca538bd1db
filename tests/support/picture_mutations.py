"""Picture files damaged in ten thousand ways, each from its seed; and a child process that screens them.

Run as a script it is the child: ``python picture_mutations.py RELEASE FIRST COUNT`` screens the mutations with those
seeds and prints one JSON object: how many gave which verdict or reason, and what nobody expected. A crash or a hang of
a decoder ends the child, not the test.
"""

import io
import json
import random
import signal
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from pictures import encoded, eye

CPU_LIMIT_S = 30  # of one picture: what a decoder that loops would pass, not what a slow machine needs
OP, OPT = "1.2.840.10008.5.1.4.1.1.77.1.5.1", "1.2.840.10008.5.1.4.1.1.77.1.5.4"
HUGE = (0, 1, 7, 31, 255, 8_001, 65_535, 2**20 - 1, 2**31 - 1, 2**32 - 1)


@cache
def bases() -> tuple[tuple[str, bytes], ...]:
    """Sound files of every kind that is read, small enough to be damaged by the thousand."""
    rgb = eye(3, side=96)
    grey16 = (np.asarray(Image.fromarray(rgb).convert("L"), dtype=np.uint16) * 257)[:, :, None]
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    return (
        ("jpeg", encoded(rgb, "JPEG", quality=80)),
        ("jpeg-progressive", encoded(rgb, "JPEG", quality=80, progressive=True)),
        ("jpeg-exif", encoded(rgb, "JPEG", quality=80, exif=exif.tobytes())),
        ("png", encoded(rgb)),
        ("png-alpha", encoded(np.dstack([rgb, np.full(rgb.shape[:2], 200, np.uint8)]))),
        ("png-16", _saved(Image.fromarray(grey16[:, :, 0]), "PNG")),
        ("png-palette", _saved(Image.fromarray(rgb).quantize(32), "PNG")),
        ("tiff", encoded(rgb, "TIFF")),
        ("tiff-deflate", encoded(rgb, "TIFF", compression="tiff_adobe_deflate")),
        ("bmp", encoded(rgb, "BMP")),
        ("webp", encoded(rgb, "WEBP", quality=70)),
        ("dicom", _dicom(rgb)),
        ("dicom-frames", _dicom(np.stack([grey16[:, :, 0]] * 3), sop=OPT)),
        ("dicom-jpeg", _dicom(rgb, jpeg=True)),
        ("dicom-rle", _dicom(rgb, rle=True)),
    )


def mutated(seed: int) -> tuple[str, bytes]:
    """Return a damaged file and what was done to it; the same for the same seed."""
    random_ = random.Random(seed)
    name, data = bases()[seed % len(bases())]
    ways: list[Callable[[random.Random, bytes], bytes]] = [_bits, _cut, _splice, _numbers]
    if name.startswith("png"):
        ways.append(_png_bomb)
    elif name.startswith("jpeg"):
        ways.append(_jpeg_bomb)
    elif name.startswith("dicom"):
        ways += [_dicom_elements, _dicom_elements]
    way = random_.choice(ways)
    return f"{seed} {name}{way.__name__}", way(random_, data)


def _bits(random_: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    # Headers are where a bit matters most: every second run stays in the first hundred bytes.
    reach = len(data) if random_.random() < 0.5 else min(100, len(data))
    for _ in range(random_.choice((1, 2, 8, 64))):
        changed[random_.randrange(reach)] ^= 1 << random_.randrange(8)
    return bytes(changed)


def _cut(random_: random.Random, data: bytes) -> bytes:
    return data[: random_.randrange(len(data))]


def _splice(random_: random.Random, data: bytes) -> bytes:
    start, length, to = (random_.randrange(len(data)) for _ in range(3))
    piece = data[start : start + min(length, 400)]
    other = bases()[random_.randrange(len(bases()))][1][to:][: len(piece)]
    return random_.choice((data[:to] + piece + data[to:], data[:start] + other + data[start + len(piece) :]))


def _numbers(random_: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    order = random_.choice("<>")
    for _ in range(random_.choice((1, 1, 3))):
        at = random_.randrange(min(len(data) - 4, 400))
        struct.pack_into(f"{order}I", changed, at, random_.choice(HUGE) & 0xFFFFFFFF)
    return bytes(changed)


def _png_bomb(random_: random.Random, data: bytes) -> bytes:
    header = bytearray(data[16:29])
    struct.pack_into(">II", header, 0, random_.choice(HUGE), random_.choice(HUGE))
    checksum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return data[:16] + bytes(header) + checksum + data[33:]


def _jpeg_bomb(random_: random.Random, data: bytes) -> bytes:
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    changed = bytearray(data)
    struct.pack_into(">HH", changed, at + 5, random_.choice(HUGE) & 0xFFFF, random_.choice(HUGE) & 0xFFFF)
    return bytes(changed)


def _dicom_elements(random_: random.Random, data: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    numbers = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel", "PixelRepresentation")
    words = ("PhotometricInterpretation", "SOPClassUID", "PlanarConfiguration", "NumberOfFrames", "PixelData")
    for _ in range(random_.choice((1, 1, 2, 4))):
        name = random_.choice(numbers + words)
        if name not in dataset or random_.random() < 0.2:
            dataset.pop(name, None)
        elif name in numbers:
            setattr(dataset, name, random_.choice((0, 1, 3, 7, 12, 16, 4096, 65535)))
        elif name == "NumberOfFrames":
            dataset.NumberOfFrames = random_.choice(("0", "2", "999999999", "-1"))
        elif name == "PhotometricInterpretation":
            dataset.PhotometricInterpretation = random_.choice(("MONOCHROME1", "PALETTE COLOR", "YBR_FULL_422", "X"))
        elif name == "PixelData":
            dataset.PixelData = dataset.PixelData[: random_.randrange(1, len(dataset.PixelData)) // 2 * 2]
    if random_.random() < 0.2:
        dataset.file_meta.TransferSyntaxUID = random_.choice((ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless))
    buffer = io.BytesIO()
    try:
        dataset.save_as(buffer)
    except Exception:  # what the library itself will not write is damaged as bytes instead
        return _bits(random_, data)
    return buffer.getvalue()


def _saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _dicom(pixels: np.ndarray, *, sop: str = OP, jpeg: bool = False, rle: bool = False) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop, "1.2.3.4"
    meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = sop, "1.2.3.4"
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    data.Rows, data.Columns = pixels.shape[:2] if colour else pixels.shape[1:]
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = ("YBR_FULL_422" if jpeg else "RGB") if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    else:
        data.NumberOfFrames = len(pixels)
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, 0
    data.PixelData = encapsulate([encoded(pixels, "JPEG")]) if jpeg else pixels.tobytes()
    if rle:
        data.compress(RLELossless)
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def screen_mutations(release_folder: Path, first: int, count: int) -> dict[str, object]:
    """Screen the mutations with seeds ``first`` on; returns what came of them."""
    from eyebright_common.errors import ImageError
    from eyebright_common.imaging.refusals import FIXES
    from eyebright_common.memory import peak_resident_bytes
    from eyebright_edge.screening import open_release, screen_picture

    opened = open_release(release_folder)
    outcomes: Counter[str] = Counter()
    unexpected = []
    for seed in range(first, first + count):
        name, data = mutated(seed)
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
        try:
            outcomes[screen_picture(opened.runtime, opened.release, data, name="x").verdict.value] += 1
        except ImageError as error:
            outcomes[error.reason] += 1
            if error.reason not in FIXES or not error.fix:
                unexpected.append(f"{name}: no fix for {error.reason}")
        except BaseException as error:
            unexpected.append(f"{name}: {type(error).__name__}: {error}")
    signal.setitimer(signal.ITIMER_PROF, 0)
    peak = peak_resident_bytes() // 2**20
    return {"outcomes": dict(outcomes), "unexpected": unexpected, "peak_mb": peak}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(screen_mutations(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
