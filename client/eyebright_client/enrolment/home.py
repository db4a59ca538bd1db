"""The hospital's home folder.

::

    HOME/hospital.json     who we are in the federation and where its nodes connect
    HOME/identity/         key and certificate for mutual TLS with the distribution server
    HOME/node/node.key     the Flower node key, EC P-384; made here, never leaves
    HOME/node/runtime.secret   opens the node's own task queue to our worker
    HOME/node/*.log        what the node and the worker say
    HOME/metadata/         trusted metadata of the operator's repository
    HOME/downloads/        beginnings of cut downloads
    HOME/site/             what the app may read: data, policy, teacher, audit log
    HOME/lock              held while the node is up

Keys and pictures lie here, so the folder is readable by its owner alone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.durable import write_bytes
from eyebright_common.errors import EyebrightError, InputError


class Membership(Document):
    """The content of ``hospital.json``.

    Attributes:
        name: Our name in the network.
        site_index: Our number in the federation.
        fleet_address: ``host:port`` where our node connects.
    """

    schema_: Literal["eyebright.hospital/1"] = Field(default="eyebright.hospital/1", alias="schema")
    name: str
    site_index: int = Field(ge=0)
    fleet_address: str


@dataclass(frozen=True, slots=True)
class HospitalHome:
    """Paths of one hospital's home folder."""

    root: Path

    @property
    def membership_file(self) -> Path:
        """Who we are."""
        return self.root / "hospital.json"

    @property
    def identity(self) -> Path:
        """Key and certificates for mutual TLS."""
        return self.root / "identity"

    @property
    def node(self) -> Path:
        """The node's key, secret and logs."""
        return self.root / "node"

    @property
    def node_key(self) -> Path:
        """The Flower node key."""
        return self.node / "node.key"

    @property
    def runtime_secret(self) -> Path:
        """Opens the node's task queue."""
        return self.node / "runtime.secret"

    @property
    def parts(self) -> Path:
        """Beginnings of cut downloads."""
        return self.root / "downloads" / "parts"

    @property
    def site(self) -> Path:
        """The site directory, all that the app reads."""
        return self.root / "site"

    def create(self) -> None:
        """Make the folder; an existing one is kept.

        Raises:
            InputError: it cannot be made there.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.site.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            found = f"{self.root} ({error.strerror})"
            raise InputError(
                "a hospital's home cannot be made here", value=found, fix="Name another folder."
            ) from error

    def membership(self) -> Membership:
        """Return who we are.

        Raises:
            InputError: we have not joined, or the record cannot be read.
        """
        fix = "Join with `eyebright client join INVITATION --home DIR`."
        try:
            return Membership.model_validate_json(self.membership_file.read_bytes())
        except FileNotFoundError:
            raise InputError("this hospital has not joined", value=self.root, fix=fix) from None
        except (OSError, ValidationError) as error:
            raise InputError("the membership cannot be read", value=self.membership_file, fix=fix) from error

    def keep(self, membership: Membership) -> None:
        """Write down who we are."""
        write_bytes(self.membership_file, membership.to_json())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the right to run the node; the kernel gives it back when the process dies.

        Raises:
            EyebrightError: another process holds it.
        """
        with (self.root / "lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise EyebrightError("this hospital's node is up", value=self.root, fix="Stop it first.") from error
            yield

    def is_up(self) -> bool:
        """Whether a process runs the node now."""
        try:
            with self.locked():
                return False
        except EyebrightError:
            return True
