"""Records of an older version are moved, whole and once; newer ones are refused."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from eyebright_common.errors import EyebrightError, InputError
from eyebright_server.records import Records
from eyebright_server.records.models import SCHEMA_VERSION, Base, HospitalStandingRow

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def old_records(path: Path) -> Path:
    """Records as version 1 made them, with an entry."""
    with Records.open(path) as records:
        records.append("test", {"old": True}, now=NOW)
    with sqlite3.connect(path) as connection:
        connection.execute(f"DROP TABLE {HospitalStandingRow.__tablename__}")
        connection.execute("UPDATE schema_version SET version = 1")
    connection.close()
    return path


def test_old_records_are_moved_and_keep_their_ledger(tmp_path: Path) -> None:
    with Records.open(old_records(tmp_path / "r.sqlite")) as records:
        assert records.verify_ledger().entries == 1
        assert records.suspended() == {}
    with Records.open(tmp_path / "r.sqlite") as again:
        assert again.verify_ledger().entries == 1


def test_moved_records_have_the_tables_of_new_ones(tmp_path: Path) -> None:
    Records.open(old_records(tmp_path / "r.sqlite")).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'r.sqlite'}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    assert differences == []


def test_records_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    Records.open(tmp_path / "r.sqlite").close()
    with sqlite3.connect(tmp_path / "r.sqlite") as connection:
        connection.execute(f"UPDATE schema_version SET version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(EyebrightError, match="another version"):
        Records.open(tmp_path / "r.sqlite")


def test_only_a_suspended_hospital_can_be_lifted(tmp_path: Path) -> None:
    with Records.open(tmp_path / "r.sqlite") as records, pytest.raises(InputError, match="not suspended: 4"):
        records.lift(4, now=NOW)
