"""The nginx configuration is one that nginx takes, and lets the fleet's routes through on the chosen addresses only."""

from __future__ import annotations

import subprocess

import pytest

from eyebright_common.errors import InputError
from eyebright_server.distribution import OperatorFolder
from eyebright_server.superlink.credentials import prepare_credentials, superlink_access, superlink_folder
from eyebright_server.superlink.nginx import find_nginx, nginx_configuration, write_nginx_configuration
from eyebright_server.superlink.programs import superlink_program


@pytest.fixture
def operator(tmp_path):
    with OperatorFolder.create(tmp_path / "operator", fleet_port=17443, superlink_port=17444) as made:
        prepare_credentials(made)
        yield made


def test_nginx_takes_the_configuration(operator):
    try:
        nginx = find_nginx()
    except InputError:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    written = write_nginx_configuration(operator, listen=["127.0.0.1", "::1"])
    checked = subprocess.run([nginx, "-t", "-c", written, "-e", "stderr"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_nginx_listens_where_it_is_told_and_the_superlink_on_loopback(operator):
    text = nginx_configuration(operator, listen=["10.0.0.5", "::1"])
    assert "listen 10.0.0.5:17443 ssl;" in text
    assert "listen [::1]:17443 ssl;" in text
    assert "proxy_pass https://127.0.0.1:17444;" in text
    command = superlink_program(operator).command
    assert command[command.index("--host") + 1] == "127.0.0.1"


@pytest.mark.parametrize(
    "flag", ["--enable-supernode-auth", "--disable-runtime-dependency-installation", "--superexec-auth-secret-file"]
)
def test_the_superlink_is_never_started_open(operator, flag):
    program = superlink_program(operator)
    assert flag in program.command
    assert "--insecure" not in program.command
    assert program.environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert program.environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"


def test_keys_and_secret_are_the_operator_s_alone_and_survive_a_second_start(operator):
    folder = superlink_folder(operator)
    secrets = [folder / name for name in ("fleet.key", "loopback.key", "runtime.secret")]
    before = [path.read_bytes() for path in secrets]
    prepare_credentials(operator)
    assert [path.read_bytes() for path in secrets] == before
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert before[2].decode() not in repr(superlink_access(operator.folder, operator.settings))
