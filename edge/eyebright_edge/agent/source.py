"""Where releases come from, as the update machine sees it.

The machine knows nothing of gRPC or TUF; it asks a ``ReleaseSource``. ``tuf_source`` is the real one; tests use a
folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eyebright_common.release import Release
from eyebright_common.release.engines import EngineUpload
from eyebright_common.release.rollout import Use
from eyebright_edge.agent.news import News
from eyebright_edge.agent.unit_report import UnitFacts

# Names the files of a release, once its description is verified, that this machine has no use for.
LeaveOut = Callable[[Release], frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A release that the signed metadata lists.

    Attributes:
        task: What it screens for.
        version: Decimal whole number; higher is newer.
        sha256: Signed digest of its ``release.json``.
        size_bytes: All of its files together; 0 when the source does not say.
        use: Whether this unit serves it, or runs it unseen beside the one that serves.
    """

    task: str
    version: str
    sha256: str
    size_bytes: int = 0
    use: Use = Use.SERVE


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinEngine:
    """An engine that was built elsewhere, as it was signed; proven nowhere but there.

    Attributes:
        upload: Its description.
        file: Its bytes.
    """

    upload: EngineUpload
    file: Path


class ReleaseSource(Protocol):
    """The other side of an update."""

    def offered(self, task: str, *, active: str | None) -> Offer | None:
        """Return the release that is for this unit after refreshing the trusted metadata; None when there is none.

        Args:
            task: What the unit screens for.
            active: The version that serves now; a rollout may depend on it.

        Raises:
            EyebrightError: the other side cannot be reached or not be trusted.
        """

    def news(self) -> News | None:
        """Return what the metadata just verified says of its own age; None when the source has none."""

    def fetch(self, offer: Offer, folder: Path, *, leave_out: LeaveOut, at_hand: Path) -> None:
        """Bring the files of an offered release that are wanted into ``folder``, resuming an earlier try.

        Args:
            offer: The release.
            folder: Where to.
            leave_out: Names the files that are not wanted.
            at_hand: Where an incomplete or damaged copy of this release may lie; what is sound of it is not sent again.

        Raises:
            EyebrightError: the transfer broke off, or a file is not what was signed.
        """

    def fetch_engine(self, task: str, version: str, key: str, folder: Path) -> TwinEngine | None:
        """Bring the signed engine that a twin of this unit built into ``folder``; None when nobody offers one.

        Args:
            task: Of the release.
            version: Of the release.
            key: Digest of the key under which this unit would build it.
            folder: Where to put it.

        Raises:
            EyebrightError: the transfer broke off, there is no room, or a file is not what was signed.
        """

    def report(self, facts: UnitFacts) -> None:
        """Tell the operator counts and states; never a picture, a name or a score.

        Raises:
            EyebrightError: the other side cannot be reached.
        """
