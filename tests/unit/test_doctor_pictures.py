"""What is found out about one picture, however odd."""

import io

import numpy as np
import pytest
from PIL import Image

from eyebright_client.doctor.picture import PictureFacts, examine_picture
from eyebright_common.manifest import Row
from pictures import encoded, eye


def facts_of(path, modality="CFP"):
    return examine_picture(Row(image_path=path, name=path.name, modality=modality, label="normal", patient_id="1"))


def written(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def test_facts_survive_being_written_down(tmp_path):
    facts = facts_of(written(tmp_path, "a.png", encoded(eye(1, 160))))
    assert PictureFacts.from_json(facts.to_json()) == facts
    assert (facts.width, facts.height, facts.format, facts.mode, facts.bounded) == (160, 160, "png", "rgb", True)


def test_means_and_variances_are_those_of_the_whole_picture(tmp_path):
    picture = eye(2, 160)
    facts = facts_of(written(tmp_path, "a.png", encoded(picture)))
    assert facts.means == pytest.approx(picture.reshape(-1, 3).mean(axis=0), abs=0.01)
    assert facts.variances == pytest.approx(picture.reshape(-1, 3).astype(float).var(axis=0), rel=1e-4)


def test_the_size_is_that_of_the_file_not_of_a_reduced_decoding(tmp_path):
    facts = facts_of(written(tmp_path, "a.jpg", encoded(eye(1, 1600), "JPEG")))
    assert (facts.width, facts.height) == (1600, 1600)


@pytest.mark.parametrize(("mode", "word"), [("L", "grey"), ("P", "palette"), ("RGBA", "alpha"), ("1", "grey")])
def test_colour_depth_is_told(tmp_path, mode, word):
    buffer = io.BytesIO()
    Image.fromarray(eye(1, 96)).convert(mode).save(buffer, "PNG")
    assert facts_of(written(tmp_path, "a.png", buffer.getvalue())).mode == word


@pytest.mark.parametrize("modality", ["CFP", "OCT"])
@pytest.mark.parametrize("shape", [(32, 32), (32, 2000), (2000, 32), (600, 40)])
@pytest.mark.parametrize("level", [0, 255, None])
def test_no_shape_or_content_stops_the_doctor(tmp_path, modality, shape, level):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pixels = noise if level is None else np.full((*shape, 3), level, np.uint8)
    facts = facts_of(written(tmp_path, "a.png", encoded(pixels)), modality)
    assert facts.reason == ""
    assert np.isfinite(facts.descriptor_values()).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty_file"), (b"words, no picture", "not_an_image"), (encoded(eye(1, 96))[:400], "truncated")],
)
def test_a_file_that_cannot_be_used_has_its_reason(tmp_path, data, reason):
    assert facts_of(written(tmp_path, "a.png", data)).reason == reason


def test_a_file_that_is_gone_is_missing(tmp_path):
    assert facts_of(tmp_path / "gone.png").reason == "missing_file"
