"""A network with nothing in it but loopback, and a count of every attempt to reach anything else.

The kernel counts, per network, what could not be sent because there was no way to it: a name that is asked for, a
packet, a connection, of whatever library in whatever process. Needs the right to make a network (root).

A browser tries to reach all kinds of things by itself, so it stays outside; a ``door`` lets it in.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NEW_NETWORK = 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
_HERE = Path("/proc/thread-self")


@contextmanager
def loopback_only() -> Iterator[Callable[[], int]]:
    """Move this thread, and all that it starts, into such a network; yields what counts the attempts to leave it."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open(_HERE / "ns" / "net", os.O_RDONLY)
    try:
        if libc.unshare(_NEW_NETWORK):
            pytest.skip(f"no network of its own can be made here ({os.strerror(ctypes.get_errno())})")
        try:
            _start_loopback()
            yield _attempts_to_leave
        finally:
            assert libc.setns(before, _NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(before)


class Door:
    """A port of the network in which it is made; what comes there is carried to a port of the one that ``opens`` it."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = "http://127.0.0.1:{1}".format(*self._listening.getsockname())

    @contextmanager
    def opens(self, port: int) -> Iterator[str]:
        """Carry what comes to a port of this thread's network; gives the address to come to."""
        threading.Thread(target=self._accept, args=[port], daemon=True).start()
        try:
            yield self.address
        finally:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()

    def _accept(self, port: int) -> None:
        while True:
            try:
                outside, _ = self._listening.accept()
            except OSError:
                return  # The door is closed.
            inside = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_carry, args=[outside, inside], daemon=True).start()


def _carry(outside: socket.socket, inside: socket.socket) -> None:
    other = {outside: inside, inside: outside}
    with outside, inside:
        while True:
            for end in select.select([outside, inside], [], [])[0]:
                try:
                    data = end.recv(65536)
                    other[end].sendall(data)
                except OSError:
                    return
                if not data:
                    return


def _start_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sh22x", b"lo", 0))
        (flags,) = struct.unpack("16xh22x", asked)
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", flags | _UP))


def _attempts_to_leave() -> int:
    names, values = (line.split() for line in (_HERE / "net/snmp").read_text().splitlines() if line.startswith("Ip:"))
    counted = dict(zip(names, values, strict=True))
    counted |= dict(line.split() for line in (_HERE / "net/snmp6").read_text().splitlines())
    return int(counted["OutNoRoutes"]) + int(counted["Ip6OutNoRoutes"])
