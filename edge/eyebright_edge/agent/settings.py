"""``unit.json``: what this unit screens for, chosen when it enrols, and how careful it is with new releases.

All but the task have defaults; a person changes them with an editor, and a value that cannot be is refused by name.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import Document, problems_of
from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_edge.agent.home import UnitHome


class Trial(Document):
    """How long a new release is tried before it is committed; whichever comes first. 0 visits: not at all.

    Attributes:
        visits: Finished visits.
        minutes: Time since it began to serve (or, in shadow, to run unseen).
    """

    visits: int = Field(default=10, ge=0, le=10_000)
    minutes: float = Field(default=60.0, ge=0.0, le=30 * 24 * 60)


class Budget(Document):
    """What a release may cost on this unit.

    Attributes:
        latency_p95_ms: One picture through the network, 95th percentile of the golden runs.
        memory_mb: Largest resident memory of a process that serves it.
        prepare_memory_mb: The same while it is prepared (an engine build takes more than serving).
        prepare_minutes: How long preparing may take, from start to end.
        prove_minutes: How long proving may take.
    """

    latency_p95_ms: float = Field(default=5000.0, gt=0.0)
    memory_mb: float = Field(default=1500.0, gt=0.0)
    prepare_memory_mb: float = Field(default=2500.0, gt=0.0)
    prepare_minutes: float = Field(default=60.0, gt=0.0)
    prove_minutes: float = Field(default=15.0, gt=0.0)


class UnitSettings(Document):
    """What this unit screens for, where its releases come from, how they are tried and what they may cost.

    Attributes:
        schema_: Version of this file's shape.
        task: Name of the screening task.
        places: Where the agent looks for releases, in this order; ``server`` is the one that the unit enrolled with,
            anything else a web address or a folder.
        trial: How long a new release is tried.
        budget: What it may cost.
    """

    schema_: Literal["eyebright.unit/1"] = Field(default="eyebright.unit/1", alias="schema")
    task: str
    places: tuple[str, ...] = Field(default=("server",), min_length=1, max_length=8)
    trial: Trial = Trial()
    budget: Budget = Budget()


def read_settings(home: UnitHome) -> UnitSettings:
    """Return the settings.

    Raises:
        InputError: this unit has not been enrolled, or its settings cannot be read.
    """
    home.require()
    fix = "Enrol with `eyebright edge enrol INVITATION --home DIR`."
    try:
        return UnitSettings.model_validate_json(home.settings_file.read_bytes())
    except FileNotFoundError:
        raise InputError("this unit has not been enrolled", value=home.root, fix=fix) from None
    except ValidationError as error:
        found = f"{home.settings_file} ({problems_of(error, whole='unit.json')[0]})"
        raise InputError("the settings of this unit cannot be read", value=found, fix=fix) from error
    except OSError as error:
        raise InputError("the settings of this unit cannot be read", value=home.settings_file, fix=fix) from error


def write_settings(home: UnitHome, settings: UnitSettings) -> None:
    """Replace the settings durably."""
    write_bytes(home.settings_file, settings.to_json())
