"""A network that breaks: forwards TCP to a server and cuts every connection after so many bytes of answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class Flapping:
    """A port on loopback that stands for a server's.

    Attributes:
        port: Where it listens.
        cut_after_bytes: Of answers, per connection; None for never.
        cuts: How often it cut.
    """

    port: int
    cut_after_bytes: int | None
    cuts: int = 0


@contextmanager
def flapping(address: str, *, cut_after_bytes: int) -> Iterator[Flapping]:
    """Stand before ``host:port`` for as long as the block lasts."""
    host, _, port = address.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        network = Flapping(port=listener.getsockname()[1], cut_after_bytes=cut_after_bytes)
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                with suppress(OSError):
                    client, _ = listener.accept()
                    threading.Thread(target=_forward, args=(client, (host, int(port)), network), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield network
        finally:
            stopped.set()


def _forward(client: socket.socket, server: tuple[str, int], network: Flapping) -> None:
    with client, suppress(OSError), socket.create_connection(server) as upstream:
        threading.Thread(target=_pump, args=(client, upstream), daemon=True).start()
        answered = 0
        while piece := upstream.recv(16 << 10):
            client.sendall(piece)
            answered += len(piece)
            if network.cut_after_bytes is not None and answered > network.cut_after_bytes:
                network.cuts += 1
                return


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(16 << 10):
            sink.sendall(piece)
