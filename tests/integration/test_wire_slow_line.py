"""A slow line is no reason to be kept out: the handshake may take longer than a busy or distant machine needs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from eyebright_common.wire import enrol
from served_network import IMPATIENT, running_network

DELAY_S = 0.3  # for every packet of the first exchanges, as over a satellite


@contextmanager
def slow_line(port: int) -> Iterator[int]:
    """Relay one port to another; what the client sends during its handshake arrives late."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    pairs: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket, *, late: int) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if late > 0:
                    ended.wait(DELAY_S)
                    late -= 1
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                pairs.extend((near, far))
                threading.Thread(target=pump, args=(near, far), kwargs={"late": 2}, daemon=True).start()
                threading.Thread(target=pump, args=(far, near), kwargs={"late": 0}, daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for each in pairs:
            each.close()


def test_a_unit_behind_a_slow_line_enrols(tmp_path):
    with running_network(tmp_path) as network:
        port = int(network.addresses.enrolment.rpartition(":")[2])
        with slow_line(port) as late:
            invitation = network.operator.invite("distant", addresses=network.addresses)
            distant = invitation.model_copy(update={"enrolment_address": f"127.0.0.1:{late}"})
            assert enrol(distant, tmp_path / "distant", patience=IMPATIENT).name == "distant"
