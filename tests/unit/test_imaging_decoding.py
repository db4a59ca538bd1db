"""Every way a picture file goes wrong, and what becomes of it."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyebright_common.errors import ImageError
from eyebright_common.imaging import decode_image, read_picture
from eyebright_common.imaging.refusals import FIXES
from pictures import encoded, eye


def reason_of(source, **options):
    with pytest.raises(ImageError) as caught:
        decode_image(source, **options)
    assert caught.value.fix == FIXES[caught.value.reason]
    return caught.value.reason


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_file_that_is_longer_than_it_says_is_not_read_without_end(monkeypatch):
    monkeypatch.setattr("eyebright_common.imaging.decoding.MAX_FILE_BYTES", 1 << 20)
    # A device calls itself empty and never ends.
    assert reason_of(Path("/dev/zero")) == "too_large"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_lossless_picture_comes_back_pixel_for_pixel(kind):
    picture = eye(1, 96)
    assert np.array_equal(decode_image(encoded(picture, kind)), picture)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_lossy_picture_comes_back_nearly(kind):
    picture = eye(1, 96)
    assert np.abs(decode_image(encoded(picture, kind, quality=95)).astype(int) - picture).mean() < 4


def test_a_jpeg_may_come_back_smaller_but_not_below_the_side_asked_for():
    decoded = decode_image(encoded(eye(1, 512), "JPEG"), min_side=128)
    assert 128 <= min(decoded.shape[:2]) < 512


@pytest.mark.parametrize(("image_size", "side"), [(224, 512), (640, 1024)])
def test_a_large_photograph_is_read_smaller_but_not_below_what_it_is_prepared_to(image_size: int, side: int) -> None:
    assert read_picture(encoded(eye(1, 1024), "JPEG"), image_size=image_size).shape == (side, side, 3)


def test_the_orientation_of_the_camera_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = np.zeros((40, 80, 3), np.uint8)
    assert decode_image(encoded(wide, "JPEG", exif=exif)).shape == (80, 40, 3)


def test_grey_becomes_rgb():
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64).astype(np.uint8)
    assert np.array_equal(decode_image(encoded(grey)), np.repeat(grey[:, :, None], 3, axis=2))


def test_sixteen_bits_are_scaled_to_eight():
    deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    decoded = decode_image(encoded(deep))
    assert (decoded[0, 0, 0], decoded[-1, -1, 0]) == (0, 255)
    assert np.abs(decoded[:, :, 0] - deep / 257).max() <= 0.51


def test_what_is_transparent_becomes_black():
    rgba = np.full((64, 64, 4), 200, np.uint8)
    rgba[:, :32, 3], rgba[:, 32:, 3] = 0, 255
    decoded = decode_image(encoded(rgba))
    assert (decoded[0, 0].tolist(), decoded[0, 63].tolist()) == ([0, 0, 0], [200, 200, 200])


def test_a_palette_picture_keeps_its_colours():
    palette = Image.new("P", (64, 64), 1)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    assert decode_image(saved(palette, "PNG"))[0, 0].tolist() == [200, 10, 10]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_picture_cut_short_is_refused(kind):
    data = encoded(eye(2, 128), kind)
    assert reason_of(data[: len(data) // 2]) in {"truncated", "unreadable"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_cut_short_is_called_truncated(kind):
    data = encoded(eye(2, 128), kind)
    assert reason_of(data[: len(data) * 2 // 3]) == "truncated"


def test_a_file_without_bytes_is_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert reason_of(tmp_path / "a.jpg") == "empty_file"


def test_a_missing_file_is_refused(tmp_path):
    assert reason_of(tmp_path / "gone.jpg") == "missing_file"


def test_a_folder_is_refused(tmp_path):
    assert reason_of(tmp_path) == "not_a_file"


def test_text_under_the_name_of_a_picture_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_text("patient,label\n1,normal\n" * 20)
    assert reason_of(tmp_path / "a.jpg") == "not_an_image"


def test_a_vendor_file_is_refused_by_name(tmp_path):
    (tmp_path / "a.e2e").write_bytes(b"CMDb" + bytes(400))
    assert reason_of(tmp_path / "a.e2e") == "vendor_format"


def test_a_pdf_is_refused_by_name():
    assert reason_of(b"%PDF-1.7\n" + bytes(200)) == "pdf"


def test_print_colours_are_refused():
    assert reason_of(saved(Image.new("CMYK", (64, 64)), "JPEG")) == "cmyk"


def test_floating_point_pixels_are_refused():
    assert reason_of(saved(Image.new("F", (64, 64)), "TIFF")) == "unsupported_depth"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_an_animation_is_refused(kind):
    frames = [Image.fromarray(eye(n, 64)) for n in range(3)]
    assert reason_of(saved(frames[0], kind, save_all=True, append_images=frames[1:])) == "animated"


def test_a_still_gif_is_refused_as_a_format():
    assert reason_of(saved(Image.fromarray(eye(1, 64)), "GIF")) == "unsupported_format"


def test_several_pages_are_refused():
    pages = [Image.fromarray(eye(n, 64)) for n in range(2)]
    assert reason_of(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])) == "multi_page"


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    assert reason_of(b"\x89PNG\r\n\x1a\n" + chunks) == "too_large"


def test_a_thumbnail_is_refused():
    assert reason_of(encoded(np.zeros((20, 400, 3), np.uint8))) == "too_small"


def test_the_name_is_in_the_message_and_the_reason_is_not_a_sentence():
    with pytest.raises(ImageError, match=r"eye7\.png"):
        decode_image(b"nothing here", name="eye7.png")
