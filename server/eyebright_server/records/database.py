"""The database behind the records: a file (SQLite), or PostgreSQL by URL.

* A writing transaction waits for the other writer at its start instead of failing, or deciding by what has changed
  since, in the middle: SQLite begins IMMEDIATE, PostgreSQL takes one advisory lock that ends with the transaction. Both
  give up after half a minute.
* ``postgresql://`` means psycopg 3; another driver may be named (``postgresql+NAME://``).
* An address may hold a password. No message shows more of it than server, port and database, and no sentence of the
  driver at sign-in, which repeats what it was given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from eyebright_common.errors import EyebrightError, InputError

WRITES = "eyebright_writes"
_BUSY_S = 30
_CONNECT_S = 10
_LOCK = 0x65796562  # "eyeb"; advisory locks are numbers, and of one database
_CAUSES = {
    "authentication failed": "the user or password is refused",
    "no password supplied": "it asks for a password",
    "does not exist": "there is no such database or user",
    "no pg_hba.conf entry": "it lets nobody in from here",
}


def engine_of(where: Path | str) -> Engine:
    """Return an engine for the records in a file, or in the database of an SQLAlchemy URL; nothing is opened yet.

    Raises:
        InputError: it is not an address of SQLite or PostgreSQL.
        EyebrightError: the driver is not installed.
    """
    url = _url_of(where)
    sqlite = url.get_backend_name() == "sqlite"
    try:
        if sqlite:
            engine = create_engine(url, connect_args={"timeout": _BUSY_S})
        else:
            engine = create_engine(url, connect_args={"connect_timeout": _CONNECT_S}, pool_pre_ping=True)
    except ImportError:
        fix = "Install it with: pip install 'eyebright[postgresql]'"
        raise EyebrightError("the database's driver is not installed", value=url.drivername, fix=fix) from None
    except SQLAlchemyError:
        raise _unusable(where) from None
    (_prepare_sqlite if sqlite else _prepare_postgresql)(engine)
    return engine


def cannot_open(where: Path | str, error: SQLAlchemyError) -> EyebrightError:
    """Return what is to be said when the records could not be opened."""
    if isinstance(where, Path) or where.startswith("sqlite"):
        fix = "Check the path and its rights."
        return EyebrightError("the records cannot be opened", value=shown(where), fix=fix)
    said = str(error.orig) if isinstance(error, DBAPIError) else ""
    cause = next((words for text, words in _CAUSES.items() if text in said), "nobody answers there")
    fix = "Check the address, that PostgreSQL runs, and the password."
    return EyebrightError(f"the records cannot be opened ({cause})", value=shown(where), fix=fix)


def lost(where: Path | str, error: DBAPIError) -> EyebrightError:
    """Return what is to be said when the database failed while the records were in use."""
    first = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
    fix = "Nothing half-written was kept. See that the database runs and has room, and try again."
    return EyebrightError(f"the records cannot be used ({first})", value=shown(where), fix=fix)


def shown(where: Path | str) -> str:
    """Return where the records are, in a form that may be read by anybody."""
    if isinstance(where, Path):
        return str(where)
    try:
        url = make_url(where)
    except (SQLAlchemyError, ValueError):
        return "records_url"
    if "@" in f"{url.host}{url.database}":  # a password with an @ in it that was not written as %40
        return "records_url"
    return str(URL.create(url.drivername, host=url.host, port=url.port, database=url.database))


def _url_of(where: Path | str) -> URL:
    if isinstance(where, Path):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(where)
    except (SQLAlchemyError, ValueError):
        raise _unusable(where) from None
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise _unusable(where)
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _unusable(where: Path | str) -> InputError:
    fix = "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ in the password."
    return InputError("the records' address cannot be used", value=shown(where), fix=fix)


def _prepare_sqlite(engine: Engine) -> None:
    # The driver's own transaction handling begins too late (at the first write): take it over.
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _prepare_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if _writes(connection):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_BUSY_S}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(WRITES))
