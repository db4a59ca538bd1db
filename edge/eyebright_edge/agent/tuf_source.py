"""The real source of releases: TUF metadata and targets over mutual TLS, from a web server, or from a folder.

The transport is not trusted in any case; the signatures are. Web server and folder take no report, so that one is
simply not sent: the counts are totals and go with the next one.

A signed rollout, if there is one, decides which release is for this unit; without one it is the newest. A builder is no
part of a rollout: it takes the newest at once, so that its engine is there when the rings open, and reports nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp

from eyebright_common.errors import EyebrightError, InputError, ReleaseError, TrustError
from eyebright_common.release import parse_release
from eyebright_common.release.engines import engine_file_names, parse_engine_upload
from eyebright_common.release.rollout import LONGEST_ROLLOUT_BYTES, Rollout, Use, decide, parse_rollout, rollout_numbers
from eyebright_common.trust import (
    AvailableRelease,
    FolderFetcher,
    HttpFetcher,
    Role,
    UnitIdentity,
    UpdateClient,
    signing_time,
    target_name,
)
from eyebright_common.wire import DistributionClient, GrpcFetcher, Patience, renew_if_due
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.news import News
from eyebright_edge.agent.source import LeaveOut, Offer, TwinEngine
from eyebright_edge.agent.unit_report import UnitFacts, unit_status
from eyebright_edge.records.telemetry import acknowledge

SERVER = "server"
_ROLES: dict[str, type[Signed]] = {"root": Root, "timestamp": Timestamp, "snapshot": Snapshot, "targets": Targets}


class TufSource:
    """Releases from a TUF repository; implements ``ReleaseSource``.

    Args:
        updates: The update client, with whatever transport; keeps its metadata in ``home.metadata``.
        client: The connection that takes reports; None when there is none.
        home: The unit's home.
        unit: The unit's name, as in its certificate.
        builds: Whether it is a builder.
    """

    def __init__(
        self,
        updates: UpdateClient,
        client: DistributionClient | None,
        *,
        home: UnitHome,
        unit: str,
        builds: bool = False,
    ) -> None:
        self._updates = updates
        self._client = client
        self._home = home
        self._unit = unit
        self._builds = builds

    def offered(self, task: str, *, active: str | None) -> Offer | None:
        """Return the release that is for this unit after refreshing the trusted metadata; None when there is none.

        Raises:
            EyebrightError: the other side cannot be reached or not be trusted.
        """
        self._updates.refresh()
        releases = {release.version: release for release in self._updates.available(task)}
        rollout = None if self._builds else self._rollout(task)
        assigned = decide(rollout, releases, unit=self._unit, active=active)
        newer = assigned.serve is not None and (active is None or int(assigned.serve) > int(active))
        if assigned.shadow is not None and not newer:
            return _offer(releases[assigned.shadow], Use.SHADOW)
        return _offer(releases[assigned.serve], Use.SERVE) if assigned.serve is not None else None

    def news(self) -> News | None:
        """Return what the metadata just verified says of its own age."""
        try:
            kept = {role: Metadata.from_file(str(self._home.metadata / f"{role}.json")).signed for role in _ROLES}
        except Exception as error:  # whatever python-tuf says: the client has just verified these files
            raise TrustError("the trusted metadata cannot be read", value=self._home.metadata) from error
        timestamp = kept["timestamp"]
        signed_at = signing_time(timestamp) if isinstance(timestamp, Timestamp) else None
        return News(signed_at=signed_at, holds_until=min(signed.expires for signed in kept.values()))

    def fetch(self, offer: Offer, folder: Path, *, leave_out: LeaveOut, at_hand: Path) -> None:
        """Bring the files of an offered release that are wanted into ``folder``, resuming an earlier try.

        Raises:
            EyebrightError: the transfer broke off, or a file is not what was signed.
        """
        self._updates.download_release(
            offer.task,
            offer.version,
            folder,
            leave_out=partial(_left_out, leave_out),
            at_hand=at_hand,
        )

    def fetch_engine(self, task: str, version: str, key: str, folder: Path) -> TwinEngine | None:
        """Bring the signed engine that a twin of this unit built into ``folder``; None when nobody offers one.

        Raises:
            EyebrightError: the transfer broke off, there is no room, or a file is not what was signed.
        """
        if self._builds:
            return None  # its word would be another's
        plan, described = (target_name(task, version, file) for file in engine_file_names(key))
        if not {plan, described} <= set(self._updates.names(f"releases/{task}/{version}/engine-")):
            return None
        self._updates.download_target(described, folder / "engine.json")
        upload = parse_engine_upload((folder / "engine.json").read_bytes())
        free, needed = shutil.disk_usage(folder).free, 2 * upload.size_bytes
        if free < needed:
            found = f"{free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB needed"
            raise EyebrightError(
                "there is no room for a twin's engine", value=found, fix="Free some space on this unit."
            )
        return TwinEngine(upload=upload, file=self._updates.download_target(plan, folder / "engine.plan"))

    def report(self, facts: UnitFacts) -> None:
        """Tell the operator counts and states.

        Raises:
            EyebrightError: the server cannot be reached.
        """
        if self._client is not None and not self._builds:
            self._client.report(unit_status(facts))
            if facts.telemetry is not None:
                acknowledge(self._home.root, facts.telemetry)

    def _rollout(self, task: str) -> Rollout | None:
        numbers = rollout_numbers(self._updates.names(f"rollouts/{task}/"), task)
        if not numbers:
            return None
        file = self._home.root / "rollout.json"
        self._updates.download_target(f"rollouts/{task}/{numbers[-1]}.json", file)
        with file.open("rb") as opened:
            return parse_rollout(opened.read(LONGEST_ROLLOUT_BYTES + 1))


@contextmanager
def open_source(home: UnitHome, place: str, *, now: datetime, patience: Patience | None = None) -> Iterator[TufSource]:
    """Open a place in which releases are found.

    Args:
        home: The unit's home.
        place: ``server``, a web address, or a folder.
        now: The present time, aware.
        patience: How long to wait for the server.

    Raises:
        InputError: the folder holds no repository, or the address is none.
        TrustError: this unit has not enrolled, or its key or trusted metadata is damaged.
    """
    if place == SERVER:
        with server_source(home, now=now, patience=patience) as source:
            yield source
    elif place.startswith(("http://", "https://")):
        identity = UnitIdentity.open(home.identity)
        updates = UpdateClient(home.root, HttpFetcher(place), identity.root_metadata)
        yield _source(updates, None, home, identity)
    else:
        with folder_source(home, Path(place)) as source:
            yield source


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
        updates = UpdateClient(home.root, fetcher, identity.root_metadata)
        yield _source(updates, client, home, identity)


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
    updates = UpdateClient(home.root, FolderFetcher(repository), identity.root_metadata)
    yield _source(updates, None, home, identity)


def _source(
    updates: UpdateClient, client: DistributionClient | None, home: UnitHome, identity: UnitIdentity
) -> TufSource:
    return TufSource(updates, client, home=home, unit=identity.name, builds=identity.role is Role.BUILDER)


def _left_out(leave_out: LeaveOut, described: bytes) -> frozenset[str]:
    try:
        return leave_out(parse_release(described))
    except ReleaseError:
        return frozenset()  # fetched whole: judging it is the next state's work


def _offer(release: AvailableRelease, use: Use) -> Offer:
    return Offer(
        task=release.task, version=release.version, sha256=release.sha256, size_bytes=release.size_bytes, use=use
    )
