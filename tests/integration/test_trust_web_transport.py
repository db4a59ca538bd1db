"""Updates from a static web server, and the client that the public conformance suite drives over it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.api.metadata import DelegatedRole, Metadata, Targets

from attacked_network import QuietHandler, static_server
from eyebright_common.errors import InputError, WireError
from eyebright_common.trust import METADATA_URL, TARGETS_URL, HttpFetcher, LeastRate, UpdateClient, signer_for
from eyebright_common.trust.http_fetcher import paced
from eyebright_common.trust.keys import load_private_key
from eyebright_server.release.repository import ReleaseRepository
from signed_network import MODEL, new_repository, write_release

CLIENT = Path(__file__).parents[1] / "support" / "tuf_conformance_client.py"
MODEL_TARGET = "releases/fundus/1/model.onnx"


@pytest.fixture
def repository(tmp_path: Path) -> ReleaseRepository:
    made = new_repository(tmp_path)
    made.publish(write_release(tmp_path / "release"))
    return made


@pytest.fixture
def address(repository: ReleaseRepository) -> Iterator[str]:
    with static_server(repository.folder) as served:
        yield served


class Client:
    """The conformance client as a process, as the suite runs it."""

    def __init__(self, folder: Path, address: str) -> None:
        self.metadata, self.targets, self.address = folder / "metadata", folder / "targets", address
        self.metadata.mkdir(parents=True)
        self.targets.mkdir()

    def run(self, *arguments: object) -> int:
        command = [sys.executable, str(CLIENT), "--metadata-dir", str(self.metadata), *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True).returncode

    def init(self, root: Path) -> int:
        return self.run("init", root)

    def refresh(self) -> int:
        return self.run("--metadata-url", f"{self.address}/metadata", "refresh")

    def download(self, name: str) -> int:
        where = ("--metadata-url", f"{self.address}/metadata", "--target-base-url", f"{self.address}/targets/")
        return self.run(*where, "--target-name", name, "--target-dir", self.targets, "download")

    def trusted(self) -> dict[str, int]:
        return {p.stem: json.loads(p.read_bytes())["signed"]["version"] for p in sorted(self.metadata.glob("*.json"))}


@pytest.fixture
def client(tmp_path: Path, repository: ReleaseRepository, address: str) -> Client:
    made = Client(tmp_path / "client", address)
    assert made.init(repository.folder / "metadata" / "1.root.json") == 0
    assert made.trusted() == {"root": 1}
    return made


def test_refresh_keeps_metadata_under_names_without_versions(client):
    assert client.refresh() == 0
    assert client.trusted() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1}


def test_download_refreshes_and_brings_what_was_signed_once(client, repository):
    assert client.download(MODEL_TARGET) == 0
    (kept,) = (path for path in client.targets.rglob("*") if path.is_file())
    assert kept.read_bytes() == MODEL
    first = kept.stat().st_mtime_ns
    assert client.download(MODEL_TARGET) == 0
    assert kept.stat().st_mtime_ns == first  # what is there already is not fetched again


def test_a_target_that_nobody_signed_is_exit_code_1_with_fresh_metadata(client):
    assert client.download("no such thing") == 1
    assert client.trusted()["timestamp"] == 2
    assert not list(client.targets.iterdir())


def test_root_rotation_is_followed(client, repository):
    assert client.refresh() == 0
    for _ in range(3):
        repository.rotate_root_key()
    assert client.refresh() == 0
    assert client.trusted()["root"] == 4


@pytest.mark.parametrize("spoil", ["unsigned", "no version", "not json"])
def test_a_bad_trusted_root_is_never_used_and_nothing_is_asked(tmp_path, repository, address, spoil):
    root = json.loads((repository.folder / "metadata" / "1.root.json").read_bytes())
    if spoil == "unsigned":
        root["signatures"][0]["sig"] = root["signatures"][1]["sig"] = "00" * 64
    else:
        del root["signed"]["version"]
    (tmp_path / "bad.json").write_text("{" if spoil == "not json" else json.dumps(root))
    made = Client(tmp_path / "bad", "http://127.0.0.1:1")
    made.init(tmp_path / "bad.json")
    assert made.refresh() == 1


def test_rolled_back_timestamp_is_exit_code_1_and_changes_nothing(client, repository):
    old = (repository.folder / "metadata" / "timestamp.json").read_bytes()
    repository.renew_online()
    assert client.refresh() == 0
    before = client.trusted()
    (repository.folder / "metadata" / "timestamp.json").write_bytes(old)
    assert client.refresh() == 1
    assert client.trusted() == before


@pytest.mark.parametrize("role", ["?", "#", "/delegatedrole", "../delegatedrole", "a b", "ä"])
def test_a_role_of_an_unusual_name_stays_inside_its_folder(repository, tmp_path, role):
    """A delegation by us to such a name: asked for under its quoted name, kept under it, and nowhere else."""
    keys = tmp_path / "keys" / "offline"
    signers = {r: [signer_for(load_private_key(p)) for p in keys.glob(f"{r}-*.pem")] for r in ("targets", "students")}
    metadata = repository.folder / "metadata"
    top = Metadata.from_file(str(metadata / "1.targets.json"))
    top.signed.delegations.roles[role] = DelegatedRole(role, [], 1, False, ["*"])
    top.signed.add_key(signers["students"][0].public_key, role)
    asked: list[str] = []
    state = repository._metadata.in_force()
    top.signed.version = 2
    repository._metadata.write_targets("targets", top.signed, signers["targets"])
    odd = Metadata(Targets(expires=state.targets.expires))
    odd.sign(signers["students"][0])
    quoted = "odd"
    (metadata / f"1.{quoted}.json").write_bytes(odd.to_bytes())
    repository._metadata.write_online(
        {**state.versions, "targets": 2, quoted: 1},
        repository._keys.online_signers(state),
        current=state.timestamp,
    )
    # The snapshot names roles as they are; the file's name is the web server's business.
    snapshot = Metadata.from_file(str(metadata / "3.snapshot.json"))
    snapshot.signed.meta[f"{role}.json"] = snapshot.signed.meta.pop(f"{quoted}.json")
    snapshot.sign(repository._keys.online_signers(state)["snapshot"][0])
    (metadata / "3.snapshot.json").write_bytes(snapshot.to_bytes())
    timestamp = Metadata.from_file(str(metadata / "timestamp.json"))
    timestamp.signed.snapshot_meta.hashes = None
    timestamp.signed.snapshot_meta.length = None
    timestamp.sign(repository._keys.online_signers(state)["timestamp"][0])
    (metadata / "timestamp.json").write_bytes(timestamp.to_bytes())

    class Asked(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            asked.append(self.path)
            if "1." in self.path and "%" in self.path:
                self.path = f"/metadata/1.{quoted}.json"
            super().do_GET()

    with static_server(repository.folder, Asked) as address:
        client = Client(tmp_path / "client", address)
        client.init(metadata / "1.root.json")
        assert client.download("nonexistent target") == 1
    name = {"?": "%3F", "#": "%23", "/delegatedrole": "%2Fdelegatedrole", "../delegatedrole": "..%2Fdelegatedrole"}.get(
        role, {"a b": "a%20b", "ä": "%C3%A4"}.get(role)
    )
    assert f"/metadata/1.{name}.json" in asked
    assert len(client.trusted()) == 5


def test_a_unit_updates_from_the_exported_folder_behind_a_web_server(repository, address, tmp_path):
    root = (repository.folder / "metadata" / "1.root.json").read_bytes()
    with HttpFetcher(address) as web:
        updates = UpdateClient(tmp_path / "unit", web, root)
        (release,) = updates.available("fundus")
        folder = updates.download_release("fundus", release.version, tmp_path / "slot")
        before = web.requests
        updates.refresh()
        updates.available("fundus")
        assert web.requests - before == 2  # a quiet poll
    assert (folder / "model.onnx").read_bytes() == MODEL


def test_what_is_not_there_is_http_404_and_what_is_forbidden_stays_so(address):
    with HttpFetcher(address) as web, pytest.raises(DownloadHTTPError) as missing:
        web.fetch(METADATA_URL + "9.root.json")
    assert missing.value.status_code == 404


def test_a_redirection_is_not_followed(repository):
    class Elsewhere(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

    with static_server(repository.folder, Elsewhere) as address, HttpFetcher(address) as web:
        with pytest.raises(DownloadHTTPError) as refused:
            web.fetch(METADATA_URL + "timestamp.json")
        assert refused.value.status_code == 302


def test_nobody_there_is_a_wire_error(repository, tmp_path):
    root = (repository.folder / "metadata" / "1.root.json").read_bytes()
    with HttpFetcher("http://127.0.0.1:1") as web, pytest.raises(WireError, match="could not be fetched"):
        UpdateClient(tmp_path / "unit", web, root).refresh()


@pytest.mark.parametrize("url", ["", "ftp://example.org", "file:///etc", "example.org", "https://", "http:///metadata"])
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(InputError, match="not the address of a web server"):
        HttpFetcher(url)


class Dripping(QuietHandler):
    """Promises a megabyte and sends little of it; how slowly is told by the client's clock."""

    def do_GET(self) -> None:  # noqa: N802
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            for _ in range(1000):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.002)  # so that the client reads piece by piece
        except OSError:
            pass  # the client hung up, as it should


def test_slow_retrieval_from_a_web_server_is_given_up(repository, tmp_path):
    ticks = iter(range(10_000))
    rate = LeastRate(bytes_per_s=1024, window_s=2, clock=lambda: float(next(ticks)))
    with (
        static_server(repository.folder, Dripping) as address,
        HttpFetcher(address, rate=rate) as web,
        pytest.raises(SlowRetrievalError),
    ):
        list(web.fetch(TARGETS_URL + "a"))


def test_endless_silence_is_given_up(repository, tmp_path):
    class Silent(Dripping):
        def do_GET(self) -> None:  # noqa: N802
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            self.connection.recv(1)  # until the client hangs up

    with (
        static_server(repository.folder, Silent) as address,
        HttpFetcher(address, timeout_s=0.2) as web,
        pytest.raises(DownloadError),
    ):
        list(web.fetch(TARGETS_URL + "a"))


def test_a_sender_that_keeps_the_rate_is_never_cut():
    ticks = iter(range(10_000))
    rate = LeastRate(bytes_per_s=10, window_s=5, clock=lambda: float(next(ticks)))
    assert sum(len(piece) for piece in paced([b"x" * 10] * 500, rate)) == 5000


def test_a_sender_that_falls_below_the_rate_is_cut_however_much_it_sent_before():
    ticks = iter(range(10_000))
    rate = LeastRate(bytes_per_s=10, window_s=5, clock=lambda: float(next(ticks)))
    pieces = paced([b"x" * 1000] * 20 + [b"x"] * 20, rate)
    assert sum(len(next(pieces)) for _ in range(20)) == 20_000
    with pytest.raises(SlowRetrievalError):
        list(pieces)
