"""Accepted replies on disk: written before they count, read again when they are averaged.

::

    FOLDER/replies/0003-train-00001.safetensors     hospital 1's answer in round 3; numbers and echo in the header

* A file alone is nothing. A reply is accepted when the ledger names its file's digest; a file that the ledger does not
  know is of a process that was killed in between, and is written over.
* ``Stored`` looks like the reply that came, but its arrays stay on disk until somebody goes through them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import ItemsView, Iterator, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eyebright_common.durable import write_bytes
from eyebright_server.federation.records import Reply


class ArraysOnDisk(Mapping[str, np.ndarray]):
    """The arrays of one file, by name; nothing of them is held in memory.

    ``items`` goes through the file once; asking for arrays one by one opens it each time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with safe_open(path, framework="np") as file:
            self._names = tuple(sorted(file.keys()))

    def __getitem__(self, name: str) -> np.ndarray:
        with safe_open(self._path, framework="np") as file:
            try:
                array: np.ndarray = file.get_tensor(name)
            except SafetensorError:
                raise KeyError(name) from None
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def items(self) -> ItemsView[str, np.ndarray]:
        """Return names and arrays; the file is open for as long as they are gone through."""
        return _Items(self, self._path)


class _Items(ItemsView[str, np.ndarray]):
    def __init__(self, arrays: ArraysOnDisk, path: Path) -> None:
        super().__init__(arrays)
        self._names, self._path = tuple(arrays), path

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        with safe_open(self._path, framework="np") as file:
            for name in self._names:
                yield name, file.get_tensor(name)


class ReplyStore:
    """The accepted replies of one run.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "replies"

    def keep(self, reply: Reply, *, kind: str, round_number: int) -> str:
        """Write a reply and return the digest of its file."""
        facts = {
            "numbers": dict(reply.numbers),
            "echo": {name: value for name, value in reply.echo.items() if isinstance(value, str | int | float)},
            "bytes_up": reply.bytes_up,
            "bytes_down": reply.bytes_down,
        }
        arrays = {name: np.asarray(reply.arrays[name], order="C") for name in sorted(reply.arrays)}
        content: bytes = save(arrays, metadata={"reply": json.dumps(facts, sort_keys=True)})
        write_bytes(self._path(kind, round_number, reply.site), content)
        return hashlib.sha256(content).hexdigest()

    def read(self, site: int, sha256: str, *, kind: str, round_number: int) -> Reply | None:
        """Return an accepted reply whose arrays stay on disk, or None when its file is not what the ledger says."""
        path = self._path(kind, round_number, site)
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                return None
        except OSError:
            return None
        return self.lazily(site, kind=kind, round_number=round_number)

    def lazily(self, site: int, *, kind: str, round_number: int) -> Reply:
        """Return a reply that was kept, without looking at its digest again."""
        path = self._path(kind, round_number, site)
        with safe_open(path, framework="np") as file:
            facts = json.loads(file.metadata()["reply"])
        return Reply(site=site, arrays=ArraysOnDisk(path), **facts)

    def forget(self, *, up_to_round: int) -> None:
        """Remove the replies of rounds whose student is on disk."""
        for path in self._folder.glob("[0-9]*-*.safetensors"):
            if int(path.name.split("-")[0]) <= up_to_round:
                path.unlink(missing_ok=True)

    def _path(self, kind: str, round_number: int, site: int) -> Path:
        return self._folder / f"{round_number:04d}-{kind}-{site:05d}.safetensors"
