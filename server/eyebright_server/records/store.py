"""The records as one object: every method is one transaction.

* A file by default (SQLite, write-ahead log), PostgreSQL by URL (``database``). Rules live beside their tables
  (``participants``, ``ledger``) as functions of a session; this file gives them transactions and nothing more.
* One transaction writes at a time; another waits at its start.
* The tables are made when missing and carry a version. Older ones are moved to this version when they are opened
  (``migrations``); newer ones are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, delete, func, insert, inspect, select
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from eyebright_common.closing import Closing
from eyebright_common.errors import EyebrightError
from eyebright_common.trust import PeerIdentity, Role
from eyebright_common.wire import UnitStatus
from eyebright_server.records import ledger, participants, standing
from eyebright_server.records.database import WRITES, cannot_open, engine_of, lost
from eyebright_server.records.ledger import LedgerEntry, LedgerHead
from eyebright_server.records.migrations import migrate
from eyebright_server.records.models import SCHEMA_VERSION, Base, ParticipantRow, SchemaRow, UnitReportRow

KEPT_REPORTS = 100


class Records(Closing):
    """The records of one central server.

    Args:
        engine: Of the database they are in.
        where: It, as a person named it.
    """

    def __init__(self, engine: Engine, where: Path | str) -> None:
        self._engine, self._where = engine, where

    @classmethod
    def open(cls, where: Path | str) -> Records:
        """Open or make the records in a file, or in the database of an SQLAlchemy URL.

        Raises:
            EyebrightError: the database cannot be opened or has another version.
        """
        records = cls(engine_of(where), where)
        try:
            records._check_version()
        except SQLAlchemyError as error:
            records.close()
            raise cannot_open(where, error) from error
        except EyebrightError:
            records.close()
            raise
        return records

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads.

        Raises:
            EyebrightError: the database does not answer any more.
        """
        with self._explained(), Session(self._engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is committed at the end, or leaves nothing behind.

        Raises:
            EyebrightError: the database does not answer any more, or somebody else writes for too long.
        """
        engine = self._engine.execution_options(**{WRITES: True})
        with self._explained(), Session(engine) as session, session.begin():
            yield session

    def append(self, kind: str, payload: Mapping[str, object], *, now: datetime) -> LedgerEntry:
        """Add an entry to the ledger."""
        with self.writing() as session:
            return ledger.append(session, kind, payload, now=now)

    def lift(self, hospital: int, *, now: datetime) -> None:
        """Ask a suspended hospital again; see ``standing``.

        Raises:
            InputError: it is not suspended.
        """
        with self.writing() as session:
            standing.lift(session, hospital, now=now)

    def suspended(self) -> dict[int, datetime]:
        """Return since when each suspended hospital is."""
        with self.reading() as session:
            return standing.suspended(session)

    def ledger(self, *, after: int = 0, kind: str = "") -> list[LedgerEntry]:
        """Return the entries of the ledger with a number above ``after`` whose kind begins with ``kind``."""
        with self.reading() as session:
            return ledger.read(session, after=after, kind=kind)

    def verify_ledger(self) -> LedgerHead:
        """Return where the ledger ends, having checked it from the beginning.

        Raises:
            TrustError: naming the broken entry.
        """
        return ledger.verify_chain(self.ledger())

    def invite(self, *, token_hash: str, role: Role, name: str, now: datetime, expires: datetime) -> None:
        """Record an invitation; see ``participants``."""
        with self.writing() as session:
            participants.invite(session, token_hash=token_hash, role=role, name=name, now=now, expires=expires)

    def redeem(
        self, *, token_hash: str, key_digest: str, now: datetime, issue: participants.Issue
    ) -> tuple[str, bytes]:
        """Exchange an invitation for a certificate; see ``participants``.

        Raises:
            InvitationError: it is unknown, used or expired.
        """
        with self.writing() as session:
            return participants.redeem(session, token_hash=token_hash, key_digest=key_digest, now=now, issue=issue)

    def authorise(self, peer: PeerIdentity, *, role: Role, now: datetime) -> None:
        """Let a peer through, or not; see ``participants``.

        Raises:
            TrustError: it may not.
        """
        with self.reading() as session:
            participants.authorise(session, peer, role=role, now=now)

    def renew(self, peer: PeerIdentity, *, key_digest: str, now: datetime, issue: participants.Issue) -> bytes:
        """Put a fresh certificate in force; see ``participants``.

        Raises:
            TrustError: the request is made with another key.
        """
        with self.writing() as session:
            return participants.renew(session, peer, key_digest=key_digest, now=now, issue=issue)

    def revoke(self, name: str, *, now: datetime, role: Role = Role.UNIT) -> None:
        """Shut a participant out; see ``participants``.

        Raises:
            InputError: there is none of that name.
        """
        with self.writing() as session:
            participants.revoke(session, role=role, name=name, now=now)

    def participants(self, *, role: Role | None = None) -> list[ParticipantRow]:
        """Return who has enrolled, revoked ones too."""
        with self.reading() as session:
            return participants.enrolled(session, role=role)

    def keep_report(self, name: str, status: UnitStatus, *, now: datetime) -> None:
        """Keep what a unit says about itself, and forget all but its newest reports."""
        with self.writing() as session:
            session.add(UnitReportRow(name=name, received=now, status_json=status.model_dump_json()))
            session.flush()
            newest = (
                select(UnitReportRow.id)
                .where(UnitReportRow.name == name)
                .order_by(UnitReportRow.id.desc())
                .limit(KEPT_REPORTS)
            )
            session.execute(delete(UnitReportRow).where(UnitReportRow.name == name, UnitReportRow.id.not_in(newest)))

    def reports(self, name: str) -> list[UnitStatus]:
        """Return what a unit said about itself, oldest first."""
        with self.reading() as session:
            rows = session.scalars(select(UnitReportRow).where(UnitReportRow.name == name).order_by(UnitReportRow.id))
            return [UnitStatus.model_validate_json(row.status_json) for row in rows]

    def last_reports(self) -> dict[str, UnitStatus]:
        """Return what each unit said last, by name; units that were shut out are left out."""
        newest = select(func.max(UnitReportRow.id)).group_by(UnitReportRow.name)
        admitted = select(ParticipantRow.name).where(
            ParticipantRow.role == Role.UNIT.value, ParticipantRow.revoked.is_(None)
        )
        wanted = select(UnitReportRow).where(UnitReportRow.id.in_(newest), UnitReportRow.name.in_(admitted))
        with self.reading() as session:
            return {row.name: UnitStatus.model_validate_json(row.status_json) for row in session.scalars(wanted)}

    def _check_version(self) -> None:
        with self._engine.execution_options(**{WRITES: True}).begin() as connection:
            if not inspect(connection).has_table(SchemaRow.__tablename__):
                Base.metadata.create_all(connection)
                connection.execute(insert(SchemaRow).values(id=1, version=SCHEMA_VERSION))
            found = connection.execute(select(SchemaRow.version)).scalar_one()
            if found < SCHEMA_VERSION:
                migrate(connection, found=found)
                found = connection.execute(select(SchemaRow.version)).scalar_one()
        if found != SCHEMA_VERSION:
            raise EyebrightError(
                "the records have another version",
                value=f"{found}, not {SCHEMA_VERSION}",
                fix="Use the Eyebright that made them.",
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise lost(self._where, error) from error
