"""Joining the network with an invitation. Safe to repeat after a cut connection: the same key asks again."""

from __future__ import annotations

from pathlib import Path

from eyebright_common.errors import InvitationError
from eyebright_common.tasks import get_task
from eyebright_common.trust import Invitation, Role, UnitIdentity
from eyebright_common.wire import Patience, enrol
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import UnitSettings, write_settings


def read_invitation(given: str) -> Invitation:
    """Return the invitation in a line of text, or in the file that ``given`` names.

    Raises:
        InvitationError: it is not an invitation, or not one for a screening unit or a builder.
    """
    try:
        text = Path(given).read_text("utf-8")
    except (OSError, ValueError):
        # Not a file that can be read: then it is the invitation itself, and `decode` says what is wrong with it.
        text = given
    invitation = Invitation.decode(text)
    if invitation.role not in (Role.UNIT, Role.BUILDER):
        raise InvitationError(
            "this invitation is not for a screening unit", value=invitation.role.value, fix="Ask for one for a unit."
        )
    return invitation


def enrol_unit(home: UnitHome, invitation: Invitation, *, task: str, patience: Patience | None = None) -> UnitIdentity:
    """Exchange an invitation for an identity and note what the unit screens for.

    Args:
        home: The unit's home; made if it is not there.
        invitation: From the operator.
        task: What the unit screens for.
        patience: How long to wait for the server.

    Raises:
        InputError: no task has that name, or the home cannot be made.
        TrustError: this unit has an identity already, or the server does not take the invitation.
        WireError: the server could not be reached.
    """
    settings = UnitSettings(task=get_task(task).name)
    home.create()
    identity = enrol(invitation, home.identity, patience=patience)
    write_settings(home, settings)
    return identity
