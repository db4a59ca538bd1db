"""One federated run over the operator's SuperLink: the same rounds as anywhere, with the hospitals of the ledger.

Who a node is, its key says: the ledger holds the key of every hospital, the SuperLink the node of every key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from eyebright_common.errors import FederationError, InputError
from eyebright_common.plan import Plan
from eyebright_server.federation.records import FederationEvent, FederationResult
from eyebright_server.federation.rules import RoundRules
from eyebright_server.federation.run import run_rounds
from eyebright_server.records import Records
from eyebright_server.superlink.control import SuperLinkControl
from eyebright_server.superlink.credentials import SuperLinkAccess
from eyebright_server.superlink.registrations import nodes_in_force
from eyebright_server.superlink.rounds import run_on_superlink


def federate(
    *,
    access: SuperLinkAccess,
    plan: Plan,
    initial: Mapping[str, np.ndarray],
    participants: Collection[int],
    checkpoint: Path,
    records: Records,
    on_event: Callable[[FederationEvent], None] | None = None,
    deadline_s: float | None = None,
    rules: RoundRules | None = None,
    signature: str = "",
) -> FederationResult:
    """Run the plan's rounds with hospitals of the SuperLink, or finish a run that was cut short.

    Args:
        access: The operator's SuperLink.
        plan: What every hospital is asked.
        initial: Arrays of the student before the first round.
        participants: Numbers of the hospitals that are asked.
        checkpoint: Folder of this run.
        records: The operator's records: the rounds' ledger, and whose key is whose.
        on_event: Told of every step.
        deadline_s: Seconds after which a question to the hospitals is closed; None waits.
        rules: The server's rules for its rounds.
        signature: Of the plan, by the operator.

    Raises:
        FederationError: the SuperLink does not answer, a round had no quorum, or the checkpoint is of another run.
    """
    reach = partial(
        run_on_superlink,
        access=access,
        participants=participants,
        roll=_Roll(access, records),
        deadline_s=deadline_s,
        signature=signature,
    )
    return run_rounds(
        reach,
        plan=plan,
        initial=initial,
        hospitals=len(participants),
        checkpoint=checkpoint,
        on_event=on_event,
        rules=rules,
        records=records,
    )


def participants_of(records: Records, names: Collection[str] = ()) -> tuple[int, ...]:
    """Return the numbers of the hospitals called ``names``, or of all that have joined and are not revoked.

    Raises:
        InputError: there is none of such a name, or none at all.
    """
    known = nodes_in_force(records)
    if unknown := sorted(set(names) - known.keys()):
        raise InputError("no hospital of this name has joined", value=unknown[0], fix=f"Known: {', '.join(known)}.")
    if not known:
        fix = "Invite one: eyebright server invite OPERATOR NAME --role hospital"
        raise InputError("no hospital has joined", fix=fix)
    return tuple(sorted(known[name].site_index for name in (names or known)))


class _Roll:
    """The hospital of every registered node; while the SuperLink is away, as it was last."""

    def __init__(self, access: SuperLinkAccess, records: Records) -> None:
        self._access, self._records = access, records
        self._last: dict[int, int] | None = None

    def __call__(self) -> Mapping[int, int]:
        try:
            with SuperLinkControl(self._access) as control:
                nodes = control.nodes()
        except FederationError:
            if self._last is None:
                raise
            return self._last
        registered = nodes_in_force(self._records)
        self._last = {
            node.node_id: registered[name].site_index
            for name, node in nodes.items()
            if name in registered and registered[name].public_key_pem == node.public_key_pem
        }
        return self._last
