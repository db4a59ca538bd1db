"""What every test may use."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from postgres_cluster import Cluster

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


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Cluster]":
    """A PostgreSQL of the tests' own; tests that need one skip where there is none."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'eyebright[postgresql]')")
    from postgres_cluster import find_postgres, running_postgres

    if (programs := find_postgres()) is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with running_postgres(programs) as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def records_place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where records may be: a file, and an empty database of PostgreSQL."""
    if request.param == "sqlite":
        return tmp_path / "records.sqlite"
    return str(request.getfixturevalue("postgres").fresh_url())
