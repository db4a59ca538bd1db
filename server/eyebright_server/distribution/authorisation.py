"""Who may call what, as one table. Metadata is signed and public; everything else is for those who need it.

* Units and builders fetch students, hospitals teachers; neither is given the other's.
* Units report: a rollout is judged by what they say. A builder screens nobody, and a console only looks.
* Engines come from builders alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from eyebright_common.errors import TrustError
from eyebright_common.trust import PeerIdentity, Role
from eyebright_common.wire.methods import (
    FETCH_TARGET,
    GET_METADATA,
    LEAVE,
    OFFER_ENGINE,
    RENEW,
    REPORT,
    SEND_ENGINE,
    WATCH,
)

TEACHERS = "teachers/"
_EVERYBODY = frozenset({Role.UNIT, Role.BUILDER, Role.HOSPITAL, Role.CONSOLE})
MAY: Mapping[str, frozenset[Role]] = {
    GET_METADATA.name: _EVERYBODY,
    FETCH_TARGET.name: frozenset({Role.UNIT, Role.BUILDER, Role.HOSPITAL}),
    WATCH.name: _EVERYBODY,
    REPORT.name: frozenset({Role.UNIT}),
    RENEW.name: _EVERYBODY,
    LEAVE.name: _EVERYBODY,
    OFFER_ENGINE.name: frozenset({Role.BUILDER}),
    SEND_ENGINE.name: frozenset({Role.BUILDER}),
}


def require_role(peer: PeerIdentity, method: str) -> None:
    """Do nothing when the peer's role may call a method.

    Raises:
        TrustError: it may not.
    """
    if peer.role not in MAY[method]:
        raise TrustError(f"a {peer.role.value} may not call {method}", value=peer.uri)


def require_target(peer: PeerIdentity, path: str) -> None:
    """Do nothing when a target is of the kind that the peer's role fetches.

    Raises:
        TrustError: it is not.
    """
    if (peer.role is Role.HOSPITAL) is not path.startswith(TEACHERS):
        raise TrustError("teachers are for hospitals, and hospitals fetch nothing else", value=peer.uri)
