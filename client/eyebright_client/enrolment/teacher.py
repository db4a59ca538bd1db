"""The teacher: fetched once, by digest, over mutual TLS, resumed when cut, verified by the operator's signatures.

A teacher is published as the target ``teachers/<sha256>.safetensors``, so its name is what it must hash to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eyebright_client.enrolment.home import HospitalHome
from eyebright_common.digests import sha256_of
from eyebright_common.errors import TargetRejected
from eyebright_common.trust import UnitIdentity, UpdateClient
from eyebright_common.wire import DistributionClient, GrpcFetcher, Patience

TEACHERS = "teachers/"


def fetch_teacher(home: HospitalHome, sha256: str, *, patience: Patience | None = None) -> Path:
    """Bring the teacher of that digest into the site directory; one that is there already is not fetched again.

    Raises:
        NotPublished: the operator has published no such teacher.
        TargetRejected: the file is not what its name says.
        EyebrightError: the transfer broke off; trying again resumes.
    """
    path = home.site / "teacher.safetensors"
    if path.is_file() and sha256_of(path) == sha256:
        return path
    with _updates(home, patience) as updates:
        updates.download_target(f"{TEACHERS}{sha256}.safetensors", path)
    if sha256_of(path) != sha256:
        path.unlink()
        raise TargetRejected("the teacher is not what its name says", value=sha256, fix="Tell the operator.")
    return path


def fetch_published_teacher(home: HospitalHome, *, patience: Patience | None = None) -> str | None:
    """Fetch the operator's teacher when exactly one is published; return its digest.

    With several, the plan that is approved decides.

    Raises:
        EyebrightError: as ``fetch_teacher``.
    """
    with _updates(home, patience) as updates:
        names = updates.names(TEACHERS)
    digests = [name.removeprefix(TEACHERS).removesuffix(".safetensors") for name in names]
    if len(digests) != 1:
        return None
    fetch_teacher(home, digests[0], patience=patience)
    return digests[0]


@contextmanager
def _updates(home: HospitalHome, patience: Patience | None) -> Iterator[UpdateClient]:
    identity = UnitIdentity.open(home.identity)
    with DistributionClient.connect(identity, patience=patience) as client:
        yield UpdateClient(home.root, GrpcFetcher(client, home.parts), identity.root_metadata)
