"""What every test may use."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

# A busy machine is not a wrong answer: no test asserts seconds.
settings.register_profile("eyebright", deadline=None)
settings.load_profile("eyebright")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development images beside the checkout; tests that need them skip without them."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the development images (../shared/data) are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The ImageNet-initialised MobileNetV2 beside the checkout; tests that need it skip without it."""
    file = REPOSITORY.parent / "shared" / "weights" / "mobilenet_v2_imagenet.safetensors"
    if not file.is_file():
        pytest.skip("the initial weights (../shared/weights) are not beside this checkout")
    return file
