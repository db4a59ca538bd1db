"""``update.json``: where the update machine stands, on disk before the work of the state begins."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.release.rollout import Use
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.receipt import Proof, read_receipt
from eyebright_edge.agent.transitions import JUDGING, MAX_ATTEMPTS, State, recovered_state


class Ending(StrEnum):
    """What an update came to."""

    UP_TO_DATE = "up_to_date"
    INSTALLED = "installed"
    REFUSED = "refused"
    SHADOWED = "shadowed"
    WAITING = "waiting"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


class UpdateRecord(Document):
    """Everything the machine needs to go on after power loss.

    Attributes:
        schema_: Version of this file's shape.
        state: The state whose work has begun.
        attempt: The how-many-th try of that work this is, from 1.
        entered_at: When the state was entered.
        version: The release on its way in, or being taken back.
        use: Whether it is to serve, or to run unseen beside the one that serves.
        sha256: Signed digest of its ``release.json``, known from FETCH on.
        previous: The release that served when the update began; what ROLL_BACK returns to.
        proof: How the release did on this machine, known from PROVE on.
        trial_began_at: When it began to serve (or to run unseen) on trial.
        trial_after_visit: Number of the last visit before that.
        waiting: What the state waits for, when the machine rests in it on purpose.
        ending: What the update came to, as far as it is known.
        reason: Why, when it did not end well; for the local screen only.
        problem: Kind of the first error, a fixed word; None when all went well.
        refuse: Whether ``version`` must not be tried again by itself.
    """

    schema_: Literal["eyebright.update/2"] = Field(default="eyebright.update/2", alias="schema")
    state: State
    attempt: int = Field(default=1, ge=1)
    entered_at: AwareDatetime | None = None
    version: str | None = None
    sha256: str | None = None
    use: Use = Use.SERVE
    previous: str | None = None
    proof: Proof | None = None
    trial_began_at: AwareDatetime | None = None
    trial_after_visit: int = 0
    waiting: str = ""
    ending: Ending | None = None
    reason: str = ""
    problem: str | None = None
    refuse: bool = False


def read_record(home: UnitHome) -> UpdateRecord:
    """Return the record as it stands; one that cannot be understood becomes ROLL_BACK to the committed release."""
    try:
        return UpdateRecord.model_validate_json(home.update_file.read_bytes())
    except FileNotFoundError:
        return UpdateRecord(state=State.IDLE)
    except (OSError, ValidationError):
        committed = read_receipt(home).active
        return UpdateRecord(
            state=State.ROLL_BACK,
            previous=committed.version if committed else home.active_version(),
            reason="the update record could not be understood",
            problem="unknown-state",
        )


def recovered(record: UpdateRecord) -> UpdateRecord:
    """Return where to go on when ``record`` was left by a process that died, or that rested on purpose."""
    if record.waiting:
        return record.model_copy(update={"state": recovered_state(record.state, 0), "attempt": 1, "waiting": ""})
    state = recovered_state(record.state, record.attempt)
    if state is record.state:
        return record.model_copy(update={"attempt": record.attempt + 1})
    gone_on = record.model_copy(update={"state": state, "attempt": 1})
    if record.attempt < MAX_ATTEMPTS:
        return gone_on
    # What takes the process down every time it is looked at is treated like what fails every time.
    fatal = record.state in JUDGING
    return gone_on.model_copy(
        update={
            "reason": f"{record.state} was interrupted {record.attempt} times",
            "problem": "interrupted",
            "ending": Ending.REFUSED if fatal else Ending.FAILED,
            "refuse": record.refuse or fatal,
        }
    )


def write_record(home: UnitHome, record: UpdateRecord) -> None:
    """Replace the record durably."""
    write_bytes(home.update_file, record.to_json(), mode=0o600)
