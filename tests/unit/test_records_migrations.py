"""Records of an older version are moved, whole and once, in a file and in PostgreSQL; newer ones are refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from eyebright_common.errors import EyebrightError, InputError
from eyebright_server.records import Records, store
from eyebright_server.records.database import engine_of
from eyebright_server.records.migrations import migrate
from eyebright_server.records.models import SCHEMA_VERSION, Base, HospitalStandingRow

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def old(records_place: Path | str) -> Path | str:
    """Records as version 1 made them, with an entry."""
    with Records.open(records_place) as records:
        records.append("test", {"old": True}, now=NOW)
    by_hand(records_place, f"DROP TABLE {HospitalStandingRow.__tablename__}", "UPDATE schema_version SET version = 1")
    return records_place


def by_hand(place: Path | str, *statements: str) -> None:
    engine = engine_of(place)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def differences(place: Path | str) -> list[object]:
    """Return how the tables differ from those of new records."""
    engine = engine_of(place)
    with engine.connect() as connection:
        found: list[object] = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    return found


def test_old_records_are_moved_and_keep_their_ledger(old: Path | str) -> None:
    with Records.open(old) as records:
        assert records.verify_ledger().entries == 1
        assert records.suspended() == {}
    with Records.open(old) as again:
        assert again.verify_ledger().entries == 1


def test_moved_records_have_the_tables_of_new_ones(old: Path | str) -> None:
    assert differences(old) != []
    Records.open(old).close()
    assert differences(old) == []


def test_a_move_that_fails_leaves_the_old_records(old: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(store, "migrate", moved_and_then_failed)
        with pytest.raises(EyebrightError, match="half-way"):
            Records.open(old)
    assert differences(old) != []
    with Records.open(old) as records:
        assert records.verify_ledger().entries == 1
    assert differences(old) == []


def moved_and_then_failed(connection: Connection, *, found: int) -> None:
    migrate(connection, found=found)
    raise EyebrightError("half-way")


def test_records_of_a_newer_version_are_refused(records_place: Path | str) -> None:
    Records.open(records_place).close()
    by_hand(records_place, f"UPDATE schema_version SET version = {SCHEMA_VERSION + 1}")
    with pytest.raises(EyebrightError, match="another version"):
        Records.open(records_place)


def test_only_a_suspended_hospital_can_be_lifted(tmp_path: Path) -> None:
    with Records.open(tmp_path / "r.sqlite") as records, pytest.raises(InputError, match="not suspended: 4"):
        records.lift(4, now=NOW)
