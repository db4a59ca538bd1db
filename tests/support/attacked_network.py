"""A unit, an honest operator, and between them somebody who rules everything that is served.

* ``Scene.honest`` is the operator's repository, with keys; ``Scene.mirror`` is what the unit is shown, by one of three
  transports: the distribution service, a static web server, a folder.
* The unit is whole: home, update machine, real ONNX Runtime, golden cases. It begins with release 1 at work.
* ``Thief`` signs with the keys that were stolen, and with no others.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Targets
from tuf.ngclient import FetcherInterface

from direct_workshop import DirectWorkshop
from eyebright_common.trust import FolderFetcher, HttpFetcher, UnitIdentity, UpdateClient
from eyebright_common.trust.keys import load_private_key, signer_for
from eyebright_common.wire import DistributionClient, GrpcFetcher, open_channel
from eyebright_edge.agent.enrolment import enrol_unit
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.tuf_source import TufSource
from eyebright_edge.agent.update import UpdateAgent, UpdateResult
from eyebright_edge.runtime import open_runtime
from eyebright_server.distribution import OperatorFolder, Rate, serve_in_thread
from eyebright_server.release.repository import ReleaseRepository
from served_network import IMPATIENT
from signed_network import Clock, QuickStorage
from tiny_release import write_tiny_release

TRANSPORTS = ("grpc", "http", "folder")
MANY = Rate(burst=100_000, per_second=1000)  # what is attacked here is trust, not patience


def make_template(folder: Path) -> Path:
    """Make, once, an operator with release 1 published and a unit that runs it."""
    operator = OperatorFolder.create(folder / "operator")
    for version in ("1", "2"):
        write_tiny_release(folder / f"r{version}", version=version)
    operator.repository.publish(folder / "r1")
    home = UnitHome(folder / "unit")
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-7", addresses=addresses), task="fundus")
    operator.close()
    (folder / "operator" / "keys").rename(folder / "keys")  # the attacked server renews nothing by itself
    shutil.copytree(folder / "operator" / "repository", folder / "honest")
    scene = Scene(folder=folder, fetcher=FolderFetcher(folder / "honest"), clock=Clock())
    assert scene.update().active == "1"
    return folder


@dataclass
class Scene:
    """One attack's stage.

    Attributes:
        folder: Everything.
        fetcher: How the unit reaches the mirror.
        clock: With which the honest operator signs.
    """

    folder: Path
    fetcher: FetcherInterface
    clock: Clock

    def __post_init__(self) -> None:
        self.home = UnitHome(self.folder / "unit")
        self.mirror = self.folder / "operator" / "repository"
        self.honest = self.operator()

    def operator(self) -> ReleaseRepository:
        """Open the honest repository, signing at the scene's clock."""
        where = (self.folder / "honest", self.folder / "keys")
        return ReleaseRepository.open(*where, clock=self.clock, storage=QuickStorage())

    def publish_two(self) -> None:
        """Let the operator publish release 2; nobody is shown it yet."""
        self.honest.publish(self.folder / "r2")

    def show_honest(self) -> None:
        """Serve what the operator made."""
        shutil.rmtree(self.mirror / "metadata")
        shutil.rmtree(self.mirror / "targets")
        for part in ("targets", "metadata"):
            shutil.copytree(self.folder / "honest" / part, self.mirror / part)

    def touch(self) -> None:
        """Make a server that keeps an index look again."""
        path = self.mirror / "metadata" / "timestamp.json"
        if path.exists():
            path.touch()

    def updates(self) -> UpdateClient:
        """Return the unit's update client, anew, as after a restart."""
        return UpdateClient(self.home.root, self.fetcher, UnitIdentity.open(self.home.identity).root_metadata)

    def update(self) -> UpdateResult:
        """Run the unit's update machine once."""
        agent = UpdateAgent(
            self.home,
            task="fundus",
            source=TufSource(self.updates(), None, home=self.home, unit="unit-1"),
            open_runtime=open_runtime,
            workshop=DirectWorkshop(open_runtime),
            clock=lambda: datetime.now(UTC),
        )
        return agent.update()

    def works_with(self) -> str:
        """Return the version that screens now, having loaded it and proved its golden cases again."""
        return self.home.serving().release.version


class Thief:
    """Whoever holds some of the keys, and the served folder."""

    def __init__(self, scene: Scene, *stolen: str, at_most: int = 99) -> None:
        self._folder = scene.mirror / "metadata"
        self.targets = scene.mirror / "targets"
        self.keys: dict[str, list[CryptoSigner]] = {}
        for role in stolen:
            paths = sorted((scene.folder / "keys").rglob(f"{role}-*.pem"))[:at_most]
            self.keys[role] = [signer_for(load_private_key(path)) for path in paths]

    def newest(self, role: str) -> Metadata:
        """Return what the mirror serves for a role."""
        if role == "timestamp":
            return Metadata.from_file(str(self._folder / "timestamp.json"))
        paths = sorted(self._folder.glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0]))
        return Metadata.from_file(str(paths[-1]))

    def forge(self, role: str, change: Callable[[Targets], None], *, by: str | None = None) -> None:
        """Serve a new version of a list of targets, signed with what was stolen."""
        metadata = self.newest(role)
        change(metadata.signed)
        metadata.signed.version += 1
        self._write(metadata, f"{metadata.signed.version}.{role}.json", self.keys.get(by or role, []))
        self.sign_online({role: metadata.signed.version})

    def sign_online(self, versions: dict[str, int] | None = None, *, version: int | None = None) -> None:
        """Serve a new snapshot and timestamp."""
        snapshot, timestamp = self.newest("snapshot"), self.newest("timestamp")
        number = version or timestamp.signed.version + 1
        for role, of in (versions or {}).items():
            data = (self._folder / f"{of}.{role}.json").read_bytes()
            snapshot.signed.meta[f"{role}.json"] = MetaFile.from_data(of, data, ["sha256"])
        snapshot.signed.version = timestamp.signed.version = number
        snapshot.signed.expires = timestamp.signed.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(1)
        self._write(snapshot, f"{number}.snapshot.json", self.keys.get("snapshot", []))
        data = (self._folder / f"{number}.snapshot.json").read_bytes()
        timestamp.signed.snapshot_meta = MetaFile.from_data(number, data, ["sha256"])
        self._write(timestamp, "timestamp.json", self.keys.get("timestamp", []))

    def _write(self, metadata: Metadata, name: str, signers: list[CryptoSigner]) -> None:
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        (self._folder / name).write_bytes(metadata.to_bytes())


@contextmanager
def scene_with(transport: str, template: Path, folder: Path) -> Iterator[Scene]:
    """Copy the template and let the unit reach its mirror by a transport."""
    shutil.copytree(template, folder, dirs_exist_ok=True, symlinks=True)
    mirror = folder / "operator" / "repository"
    clock = Clock()
    if transport == "folder":
        yield Scene(folder=folder, fetcher=FolderFetcher(mirror), clock=clock)
    elif transport == "http":
        with static_server(mirror) as address, HttpFetcher(address) as web:
            yield Scene(folder=folder, fetcher=web, clock=clock)
    else:
        identity = UnitIdentity.open(UnitHome(folder / "unit").identity)
        (folder / "operator" / "keys" / "online").mkdir(parents=True)
        with (
            OperatorFolder.open(folder / "operator") as operator,
            serve_in_thread(operator, distribution_rate=MANY) as addresses,
        ):
            channel = open_channel(addresses.distribution, identity.authority_pem, identity.credentials())
            with DistributionClient(channel, patience=IMPATIENT) as client:
                fetcher = GrpcFetcher(client, folder / "unit" / "parts")
                yield Scene(folder=folder, fetcher=fetcher, clock=clock)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def static_server(folder: Path, handler: type[SimpleHTTPRequestHandler] = QuietHandler) -> Iterator[str]:
    """Serve a folder over HTTP on loopback; return the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
