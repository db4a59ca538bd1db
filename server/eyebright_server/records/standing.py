"""Whom the rounds still ask: offences of hospitals, suspension, and the operator's word that lifts it.

* An offence is a reply that no honest program sends: of another plan, replayed, not finite, of the wrong shape, far too
  long. A refusal, silence or a broken disk is none.
* The count is kept over all runs and is not reset by good replies; lifting sets it to zero.
* Each change is in the ledger in the same transaction.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from eyebright_common.errors import InputError
from eyebright_server.records import ledger
from eyebright_server.records.models import HospitalStandingRow


def offend(session: Session, hospital: int, *, limit: int, reason: str, now: datetime) -> bool:
    """Count an offence; return whether it is the one that suspends.

    Args:
        session: A writing transaction.
        hospital: Its number.
        limit: Offences that suspend; 0 for never.
        reason: Of this one, for the ledger.
        now: The present time.
    """
    row = session.get(HospitalStandingRow, hospital)
    if row is None:
        row = HospitalStandingRow(hospital=hospital, offences=0, suspended=None)
        session.add(row)
    row.offences += 1
    if not limit or row.offences < limit or row.suspended is not None:
        return False
    row.suspended = now
    facts = {"hospital": hospital, "offences": row.offences, "reason": reason}
    ledger.append(session, "hospital-suspended", facts, now=now)
    return True


def lift(session: Session, hospital: int, *, now: datetime) -> None:
    """Ask a hospital again from the next round on.

    Raises:
        InputError: it is not suspended.
    """
    row = session.get(HospitalStandingRow, hospital)
    if row is None or row.suspended is None:
        raise InputError("this hospital is not suspended", value=hospital, fix="`eyebright server rounds status`.")
    row.offences, row.suspended = 0, None
    ledger.append(session, "hospital-lifted", {"hospital": hospital}, now=now)


def suspended(session: Session) -> dict[int, datetime]:
    """Return since when each suspended hospital is."""
    rows = session.scalars(select(HospitalStandingRow).where(HospitalStandingRow.suspended.is_not(None)))
    return {row.hospital: row.suspended for row in rows if row.suspended is not None}
