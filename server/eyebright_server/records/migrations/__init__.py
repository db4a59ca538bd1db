"""Moving the records from one version of the tables to the next, with Alembic.

* New records are made whole, without Alembic, and say their version in ``schema_version``. Older ones are moved when
  they are opened, in the transaction that looks at the version: all of it, or nothing.
* A migration states its tables in full; it must mean the same when ``models`` has long moved on.
* The tests run them on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection


def migrate(connection: Connection, *, found: int) -> None:
    """Move the records behind ``connection`` from version ``found`` to the newest, in the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.stamp(config, f"{found:04d}")
    command.upgrade(config, "head")
