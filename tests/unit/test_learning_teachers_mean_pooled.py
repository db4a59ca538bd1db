"""A vision transformer that starts from a pre-trained encoder averages its tokens, and its file says so."""

from pathlib import Path

import pytest
import torch

from eyebright_common.errors import InputError
from eyebright_learning.models import build_teacher, read_teacher
from eyebright_learning.pretraining import EncoderConfig, build_encoder, save_encoder

NAME = "vit_tiny_patch16_224"


@pytest.fixture
def encoder_file(tmp_path: Path) -> Path:
    save_encoder(build_encoder(EncoderConfig(architecture=NAME, image_size=64)), tmp_path / "encoder.safetensors")
    return tmp_path / "encoder.safetensors"


def test_a_teacher_starts_from_an_encoder_under_the_usual_name(encoder_file: Path) -> None:
    teacher = build_teacher(NAME, classes=4, image_size=64, seed=0, weights=encoder_file).eval()
    encoder = build_encoder(EncoderConfig(architecture=NAME, image_size=64)).eval()
    x = 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = torch.nn.functional.linear(encoder.pooled(x), teacher.network.head.weight, teacher.network.head.bias)
        assert torch.allclose(teacher(x), expected, atol=1e-5)
    assert teacher.identity.pooling == "mean"


def test_its_file_is_enough_to_build_it_again(encoder_file: Path, tmp_path: Path) -> None:
    teacher = build_teacher(NAME, classes=4, image_size=64, seed=0, weights=encoder_file)
    teacher.save(tmp_path / "teacher.safetensors")
    again = read_teacher(tmp_path / "teacher.safetensors")
    named = build_teacher(NAME, classes=4, image_size=64, seed=0, weights=tmp_path / "teacher.safetensors")
    assert again.digest() == teacher.digest() == named.digest()
    assert again.identity.pooling == "mean"


def test_a_teacher_with_a_class_token_says_nothing_of_pooling() -> None:
    teacher = build_teacher(NAME, classes=4, image_size=64, seed=0)
    assert "pooling" not in teacher.identity.model_dump_json()


def test_a_file_that_is_not_safetensors_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"not safetensors")
    with pytest.raises(InputError, match=r"weights\.pt"):
        build_teacher(NAME, classes=4, image_size=64, seed=0, weights=path)
