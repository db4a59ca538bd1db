"""The tables of the central server's records.

* Times are stored in UTC without an offset and come back aware; SQLite knows no time zones.
* No column has room for a picture, a patient or a score; a unit's report is the closed message of ``wire.report``.
* The ledger stores its times as text, because the text is what is hashed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import DateTime, Dialect, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 2


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time; naive ones are refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        if value is None:
            return None
        assert value.tzinfo is not None, "a time without a zone means nothing on another machine"
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back aware times."""
        return value.replace(tzinfo=UTC) if value is not None else None


class Base(DeclarativeBase):
    """Root of all tables."""

    type_annotation_map: ClassVar[dict[type, type]] = {datetime: UtcDateTime}


class SchemaRow(Base):
    """One row: the version of the tables."""

    __tablename__ = "schema_version"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]


class InvitationRow(Base):
    """An invitation; of its token only the hash is here."""

    __tablename__ = "invitations"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(63), index=True)
    created: Mapped[datetime]
    expires: Mapped[datetime]
    redeemed: Mapped[datetime | None]
    withdrawn: Mapped[datetime | None]
    key_digest: Mapped[str | None] = mapped_column(String(64))


class ParticipantRow(Base):
    """An enrolled unit or hospital with the certificate in force and the one before it."""

    __tablename__ = "participants"

    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    previous_fingerprint: Mapped[str | None] = mapped_column(String(64))
    certificate_pem: Mapped[str] = mapped_column(Text)
    key_digest: Mapped[str] = mapped_column(String(64))
    enrolled: Mapped[datetime]
    not_after: Mapped[datetime]
    revoked: Mapped[datetime | None]


class UnitReportRow(Base):
    """What a unit last said about itself."""

    __tablename__ = "unit_reports"
    __table_args__ = (Index("unit_reports_by_unit", "name", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(63))
    received: Mapped[datetime]
    status_json: Mapped[str] = mapped_column(Text)


class HospitalStandingRow(Base):
    """How often a hospital's reply was bad; see ``standing``."""

    __tablename__ = "hospital_standing"

    hospital: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    offences: Mapped[int]
    suspended: Mapped[datetime | None]


class LedgerRow(Base):
    """One entry of the ledger; see ``ledger``."""

    __tablename__ = "ledger"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(64), index=True)
    payload: Mapped[str] = mapped_column(Text)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
