"""The releases a unit keeps, and what can be said of each: by the receipt, or by the files where that is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from eyebright_common.digests import sha256_of
from eyebright_common.errors import EyebrightError, ReleaseError
from eyebright_common.release import RELEASE_FILE, read_release
from eyebright_edge.agent.home import Serving, UnitHome
from eyebright_edge.agent.receipt import Installed, Receipt, verified_receipt
from eyebright_edge.agent.start import proven_release


@dataclass(frozen=True, slots=True)
class KeptReleases:
    """What lies in a unit's home.

    Attributes:
        home: The unit's.
    """

    home: UnitHome

    def serving(self) -> Serving | None:
        """Return what serves, None when nothing can."""
        try:
            return self.home.serving()
        except EyebrightError:
            return None

    def require_serving(self, version: str) -> Serving:
        """Return what serves.

        Raises:
            ReleaseError: it is another release.
        """
        serving = self.home.serving()
        if serving.release.version != version:
            raise ReleaseError("the activated release does not serve", value=serving.notice, fix="Update again.")
        return serving

    def receipt(self, now: datetime) -> Receipt:
        """Return the receipt; a lost one is made again from what serves, whose proof is then unknown."""
        receipt = verified_receipt(self.home)
        serving = self.serving() if receipt is None else None
        if receipt is not None or serving is None:
            return receipt or Receipt()
        version = serving.release.version
        others = [self.known(kept, None, now=now) for kept in self.home.kept() if kept != version]
        previous = next((one for one in others if one), None)
        return Receipt(active=self.known(version, None, now=now), previous=previous)

    def known(self, version: str | None, receipt: Receipt | None, *, now: datetime) -> Installed | None:
        """Return what a receipt says of a kept release, or what can be said of a whole one without it."""
        if version is None:
            return None
        if receipt is not None and (known := receipt.installed(version)) is not None:
            return known
        folder = self.home.release_folder(version)
        try:
            read_release(folder, networks=())
        except EyebrightError:
            return None
        return Installed(version=version, sha256=sha256_of(folder / RELEASE_FILE), activated_at=now, proof=None)

    def usable(self, version: str | None, *, bad: str | None) -> str | None:
        """Return the release asked for, else the newest kept one that is whole: a unit can always screen.

        Without a release to go back to (the first one failed) none serves.
        """
        if version is None:
            return None
        return next((one for one in (version, *(v for v in self.home.kept() if v != bad)) if self._vouched(one)), None)

    def keep_only(self, receipt: Receipt) -> None:
        """Drop every release that the receipt does not name and that does not serve."""
        known = [one.version for one in (receipt.active, receipt.previous, receipt.shadow) if one]
        self.home.keep_only(self.home.active_version(), *known)

    def _vouched(self, version: str) -> bool:
        try:
            proven_release(self.home, version, verified_receipt(self.home))
        except EyebrightError:
            return False
        return True
