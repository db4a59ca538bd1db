"""Whether a machine can take part: room, time, clock and connection."""

import datetime
import http.server
import ssl
import threading
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from eyebright_client.doctor import Level
from eyebright_client.doctor.capacity import disk_finding, memory_finding, server_findings, step_finding
from eyebright_client.doctor.reach import reach
from eyebright_client.doctor.timed_step import measure
from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return pem


@contextmanager
def serving(pem, clock=None):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(404)
            self.end_headers()

        def date_time_string(self, timestamp=None):
            return clock or super().date_time_string(timestamp)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def pem(tmp_path):
    return self_signed(tmp_path)


def test_a_server_that_answers_with_the_right_time_is_in_order(pem):
    with serving(pem) as address:
        assert [(one.check, one.level) for one in server_findings(address, ca=pem)] == [
            ("connection", Level.OK), ("clock", Level.OK),
        ]  # fmt: skip


def test_a_clock_that_differs_by_years_is_refused(pem):
    with serving(pem, clock="Tue, 01 Jan 2019 00:00:00 GMT") as address:
        clock = server_findings(address, ca=pem)[1]
    assert (clock.check, clock.level) == ("clock", Level.STOP)
    assert "ahead of" in clock.sentence


def test_a_certificate_of_somebody_else_is_no_connection(pem):
    with serving(pem) as address:
        found = reach(address, ca=None)
    assert found.trouble == "its certificate is not from a trusted authority"


def test_a_server_that_is_not_there_is_refused_in_words_of_ours(pem):
    with serving(pem) as address:
        pass
    found = server_findings(address, ca=pem)
    assert [(one.check, one.level) for one in found] == [("connection", Level.STOP)]
    assert address not in found[0].sentence


def test_an_address_without_a_port_is_a_mistake_of_the_person():
    with pytest.raises(InputError, match="HOST:PORT"):
        reach("federation.example.org", ca=None)


def test_without_a_server_connection_and_clock_are_said_not_to_be_looked_at():
    assert "not looked at" in server_findings(None, ca=None)[0].sentence


def test_more_pictures_than_the_disk_or_the_memory_holds_are_refused(tmp_path):
    assert disk_finding(tmp_path, 10).numbers["needed_bytes"] < 2 * 1024**3
    assert disk_finding(tmp_path, 10**12).level is Level.STOP
    assert memory_finding(10**12, 0).level is Level.STOP
    assert memory_finding(1, 0).level is Level.OK


@pytest.mark.slow
def test_a_training_step_is_really_taken():
    found = measure("fundus", size=32, batch=2, threads=1)
    assert found["seconds_per_step"] > 0
    assert found["peak_memory_bytes"] > 50 * 1024**2


@pytest.mark.slow
def test_a_step_in_a_process_of_its_own_gives_the_time_of_a_pass():
    finding, memory = step_finding(get_task("oct"), 64, threads=1)
    assert finding.numbers["seconds_per_pass"] == pytest.approx(2 * finding.numbers["seconds_per_step"], abs=0.11)
    assert memory == finding.numbers["peak_memory_bytes"] > 0
