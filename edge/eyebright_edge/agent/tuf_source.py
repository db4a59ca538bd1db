"""The real source of releases: TUF metadata and targets over mutual TLS, or from a folder such as a USB stick.

The transport is not trusted in either case; the signatures are. A folder takes no report, so that one is simply not
sent: the counts are totals and go with the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from eyebright_common import __version__
from eyebright_common.errors import EyebrightError, InputError
from eyebright_common.release import Verdict
from eyebright_common.trust import FolderFetcher, UnitIdentity, UpdateClient
from eyebright_common.wire import DistributionClient, GrpcFetcher, Patience, UnitStatus, Verdicts, renew_if_due
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.source import Offer
from eyebright_edge.agent.unit_report import UnitFacts


class TufSource:
    """Releases from a TUF repository; implements ``ReleaseSource``.

    Args:
        updates: The update client, with whatever transport.
        client: The connection that takes reports; None when there is none.
    """

    def __init__(self, updates: UpdateClient, client: DistributionClient | None) -> None:
        self._updates = updates
        self._client = client

    def newest(self, task: str) -> Offer | None:
        """Return the newest release for a task after refreshing the trusted metadata; None when there is none.

        Raises:
            EyebrightError: the other side cannot be reached or not be trusted.
        """
        self._updates.refresh()
        releases = self._updates.available(task)
        if not releases:
            return None
        newest = releases[-1]
        return Offer(task=newest.task, version=newest.version, sha256=newest.sha256)

    def fetch(self, offer: Offer, folder: Path) -> None:
        """Bring every file of an offered release into ``folder``, resuming an earlier try.

        Raises:
            EyebrightError: the transfer broke off, or a file is not what was signed.
        """
        self._updates.download_release(offer.task, offer.version, folder)

    def report(self, facts: UnitFacts) -> None:
        """Tell the operator counts and states.

        Raises:
            EyebrightError: the server cannot be reached.
        """
        if self._client is not None:
            self._client.report(_status(facts))


@contextmanager
def server_source(home: UnitHome, *, now: datetime, patience: Patience | None = None) -> Iterator[TufSource]:
    """Connect to the server this unit enrolled with; a certificate that ends soon is renewed first.

    Raises:
        TrustError: this unit has not enrolled, or its key or trusted metadata is damaged.
    """
    identity = UnitIdentity.open(home.identity)
    # An unreachable server is reported by what comes next; the present certificate still holds.
    with DistributionClient.connect(identity, patience=patience) as client, suppress(EyebrightError):
        renew_if_due(identity, client, now=now)
    with DistributionClient.connect(identity, patience=patience) as client:
        fetcher = GrpcFetcher(client, home.downloads / "parts")
        yield TufSource(UpdateClient(home.root, fetcher, identity.root_metadata), client)


@contextmanager
def folder_source(home: UnitHome, repository: Path) -> Iterator[TufSource]:
    """Read releases from a repository folder, e.g. on a USB stick.

    Raises:
        InputError: the folder holds no repository.
        TrustError: this unit has not enrolled.
    """
    if not (repository / "metadata").is_dir():
        raise InputError(
            "this folder holds no releases", value=repository, fix="Name the folder with `metadata` in it."
        )
    identity = UnitIdentity.open(home.identity)
    yield TufSource(UpdateClient(home.root, FolderFetcher(repository), identity.root_metadata), None)


def _status(facts: UnitFacts) -> UnitStatus:
    return UnitStatus(
        task=facts.task,
        active_version=facts.active_version,
        state=facts.ending.value,
        backend=facts.runtime,
        golden_passed=facts.golden_passed,
        screened=facts.screened,
        verdicts=Verdicts(
            refer=facts.verdicts.get(Verdict.REFER, 0),
            no_referral=facts.verdicts.get(Verdict.NO_REFERRAL, 0),
            ungradable=facts.verdicts.get(Verdict.UNGRADABLE, 0),
        ),
        last_error=facts.problem,
        software=__version__,
    )
