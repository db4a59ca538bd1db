"""A running operator and an enrolled unit, for the tests that call a server."""

import pytest

from eyebright_common.wire import DistributionClient
from served_network import IMPATIENT, running_network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with running_network(tmp_path_factory.mktemp("network")) as running:
        yield running


@pytest.fixture(scope="module")
def identity(network):
    return network.unit("module-unit")


@pytest.fixture(scope="module")
def client(identity):
    with DistributionClient.connect(identity, patience=IMPATIENT) as connection:
        yield connection
