"""Where releases come from, as the update machine sees it.

The machine knows nothing of gRPC or TUF; it asks a ``ReleaseSource``. ``tuf_source`` is the real one; tests use a
folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eyebright_edge.agent.unit_report import UnitFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A release that the signed metadata lists.

    Attributes:
        task: What it screens for.
        version: Decimal whole number; higher is newer.
        sha256: Signed digest of its ``release.json``.
    """

    task: str
    version: str
    sha256: str


class ReleaseSource(Protocol):
    """The other side of an update."""

    def newest(self, task: str) -> Offer | None:
        """Return the newest release for a task after refreshing the trusted metadata; None when there is none.

        Raises:
            EyebrightError: the other side cannot be reached or not be trusted.
        """

    def fetch(self, offer: Offer, folder: Path) -> None:
        """Bring every file of an offered release into ``folder``, resuming what lies there already.

        Raises:
            EyebrightError: the transfer broke off, or a file is not what was signed.
        """

    def report(self, facts: UnitFacts) -> None:
        """Tell the operator counts and states; never a picture, a name or a score.

        Raises:
            EyebrightError: the other side cannot be reached.
        """
