"""One federation of real processes for all tests that need one: nginx, SuperLink, SuperNodes and workers."""

from collections.abc import Iterator

import pytest

from eyebright_common.errors import InputError
from eyebright_server.superlink.nginx import find_nginx
from eyebright_simulations.federation_demo.demo import RunningFederation, running_federation


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFederation]:
    try:
        find_nginx()
    except InputError:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    with running_federation(tmp_path_factory.mktemp("federation"), hospitals=4, rounds=2) as running:
        yield running
