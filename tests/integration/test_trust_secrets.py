"""Where secrets lie, who may read them, and where they must never appear."""

from __future__ import annotations

import logging
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from command_line import exit_code
from eyebright_common.errors import TrustError
from eyebright_common.trust import Role, UnitIdentity
from eyebright_common.wire import DistributionClient, UnitStatus, enrol, renew_if_due
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from eyebright_server.release.repository import utc_now
from eyebright_server.superlink.credentials import prepare_credentials
from served_network import IMPATIENT, Network, running_network, update_client
from signed_network import write_release

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def network(tmp_path):
    with running_network(tmp_path) as running:
        yield running


def files_under(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


def secret_files(folder: Path) -> list[Path]:
    return [p for p in files_under(folder) if b"PRIVATE KEY" in p.read_bytes() or p.suffix == ".secret"]


def test_every_private_key_of_an_operator_and_a_unit_is_its_owners_alone(network, tmp_path):
    prepare_credentials(network.operator)
    network.unit("unit-1")
    for role in ("root", "targets", "students", "teachers", "snapshot", "timestamp"):
        network.operator.repository.rotate_key(role)
    network.operator.repository.rotate_models_key()
    found = secret_files(tmp_path)
    assert len(found) >= 13 + 4  # signing keys, the model key; authority, unit, superlink, fleet
    assert {path: stat.filemode(path.stat().st_mode) for path in found} == dict.fromkeys(found, "-rw-------")
    assert not [path for path in found if path.is_relative_to(tmp_path / "operator" / "repository")]


def test_folders_of_keys_are_closed_to_others(network, tmp_path):
    for folder in ("ca", "keys/offline", "keys/online"):
        mode = (tmp_path / "operator" / folder).stat().st_mode
        assert mode & (stat.S_IRWXG | stat.S_IRWXO) == 0, folder


def test_with_a_passphrase_no_offline_key_lies_in_the_clear(tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_KEY_PASSPHRASE", PASSPHRASE)
    assert exit_code("server", "init", tmp_path / "operator") == 0
    offline = list((tmp_path / "operator" / "keys" / "offline").glob("*.pem"))
    assert offline
    assert all(b"ENCRYPTED PRIVATE KEY" in path.read_bytes() for path in offline)
    assert exit_code("server", "key", "rotate", tmp_path / "operator", "root") == 0
    assert all(b"ENCRYPTED" in p.read_bytes() for p in (tmp_path / "operator" / "keys" / "offline").glob("*.pem"))


def everything_that_happens(network: Network, folder: Path) -> list[str]:
    """Let a network live a day; return the secrets that were in play."""
    invitation = network.operator.invite("unit-1", addresses=network.addresses)
    identity = enrol(invitation, folder / "unit-1", patience=IMPATIENT)
    with pytest.raises(Exception, match="invitation"):
        enrol(invitation, folder / "second", patience=IMPATIENT)
    with update_client(identity) as (updates, _):
        updates.download_release("fundus", "1", folder / "slot")
    with DistributionClient.connect(identity, patience=IMPATIENT) as client:
        client.report(UnitStatus(state="idle", software="1"))
        renew_if_due(identity, client, now=utc_now() + timedelta(days=29))
        network.operator.repository.rotate_key("timestamp")
        network.operator.repository.publish(write_release(folder / "r2", version="2"))
        network.operator.records.revoke("unit-1", now=utc_now())
        with pytest.raises(TrustError):
            client.metadata("timestamp.json")
    keys = [b"".join(p.read_bytes().splitlines()[1:-1]).decode() for p in secret_files(folder) if p.suffix == ".pem"]
    return [invitation.token, *(line[:40] for line in keys)]


def test_nothing_secret_is_in_logs_ledger_or_records(network, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        secrets = everything_that_happens(network, tmp_path)
    said = caplog.text + "".join(entry.payload for entry in network.operator.records.ledger())
    network.operator.records.close()
    kept = b"".join(p.read_bytes() for p in files_under(tmp_path / "operator") if p.name.startswith("records"))
    assert "not-trusted" in said  # the log was listening
    assert len(secrets) > 10
    for secret in secrets:
        assert secret not in said
        assert secret.encode() not in kept


def test_a_hospitals_certificate_is_renewed_and_the_one_before_ends_with_it(network, tmp_path):
    invitation = network.operator.invite("clinic", role=Role.HOSPITAL, addresses=network.addresses)
    hospital = enrol(invitation, tmp_path / "clinic", patience=IMPATIENT)
    first = hospital.certificate.fingerprint
    with DistributionClient.connect(hospital, patience=IMPATIENT) as client:
        assert renew_if_due(hospital, client, now=utc_now() + timedelta(days=25))
    with DistributionClient.connect(hospital, patience=IMPATIENT) as client:
        assert client.metadata("timestamp.json")
        assert renew_if_due(hospital, client, now=utc_now() + timedelta(days=25))
    assert UnitIdentity.open(tmp_path / "clinic").certificate.fingerprint != first
    assert hospital.certificate.role is Role.HOSPITAL


def test_an_ended_certificate_is_refused(tmp_path):
    operator = OperatorFolder.create(tmp_path / "operator")
    with serve_in_thread(operator, certificate_validity=timedelta(seconds=-1)) as addresses:
        unit = enrol(operator.invite("late", addresses=addresses), tmp_path / "late", patience=IMPATIENT)
        with DistributionClient.connect(unit, patience=IMPATIENT) as client, pytest.raises(Exception, match="server"):
            client.metadata("timestamp.json")
    operator.close()


def test_the_servers_log_warns_of_what_only_a_person_can_renew(tmp_path, caplog):
    operator = OperatorFolder.create(tmp_path / "operator", clock=lambda: utc_now() - timedelta(days=85))
    operator.close()
    with OperatorFolder.open(tmp_path / "operator") as later, caplog.at_level(logging.WARNING):
        with serve_in_thread(later) as addresses:
            unit = enrol(later.invite("unit-1", addresses=addresses), tmp_path / "unit-1", patience=IMPATIENT)
            with DistributionClient.connect(unit, patience=IMPATIENT) as client:
                next(client.watch(for_s=30))
        assert later.repository.expiries()["timestamp"] > utc_now()  # the server renewed what it can
    assert "the students metadata ends on" in caplog.text
    assert "eyebright server renew DIR --targets" in caplog.text
