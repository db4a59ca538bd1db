"""Reading a release folder: every listed file is there, of the listed length and SHA-256, or the release is refused.

* ``release.json`` is believed here; that it is the one the operator signed is the trust room's business, before this.
* A listed file must be a regular file of the folder itself. A link could lead out of it, so it is refused.
* Files that ``release.json`` does not list are ignored: nothing may read them.
* A unit keeps the networks that it computes with, not every variant: whoever reads its folder says which must be there.
  ``model.onnx`` always must; what is there is verified, needed or not.
* Lengths are compared before contents, so a cut transfer is named as such and a wrong file costs no hashing.
"""

from __future__ import annotations

import stat
from collections.abc import Collection
from pathlib import Path

from eyebright_common.digests import sha256_of
from eyebright_common.errors import ReleaseError, TargetRejected
from eyebright_common.release.golden import GoldenCases, load_golden
from eyebright_common.release.schema import (
    GOLDEN_FILE,
    RELEASE_FILE,
    REQUIRED_ARTEFACTS,
    Artefact,
    Precision,
    Release,
    parse_release,
)

_LARGEST_DESCRIPTION_BYTES = 4 << 20


def read_release(folder: Path, *, networks: Collection[Precision] | None = None) -> Release:
    """Return the release in ``folder`` after verifying every artefact it lists.

    Args:
        folder: Where it lies.
        networks: Which of its variants must be there; any other may be absent. All must when None.

    Raises:
        ReleaseError: there is no release, or its description is not one this version reads.
        TargetRejected: an artefact is missing, not a plain file, or not of the listed length and digest.
    """
    description = folder / RELEASE_FILE
    if not description.is_file():
        raise ReleaseError(
            "folder holds no release", value=folder, fix=f"Name the folder in which {RELEASE_FILE} and model.onnx lie."
        )
    if description.stat().st_size > _LARGEST_DESCRIPTION_BYTES:
        raise ReleaseError("release file is far too long", value=description, fix="Fetch the release again.")
    release = parse_release(description.read_bytes(), source=str(description))
    may_lack = set() if networks is None else variant_files(release, without=networks)
    for artefact in release.artefacts:
        path = folder / artefact.name
        if artefact.name not in may_lack or path.exists() or path.is_symlink():
            verify_artefact(folder, artefact)
    return release


def variant_files(release: Release, *, without: Collection[Precision] = ()) -> frozenset[str]:
    """Return the file names of a release's variants but for those of some precisions; never what every unit needs."""
    return frozenset(one.file for one in release.variants if one.precision not in without) - set(REQUIRED_ARTEFACTS)


def verify_artefact(folder: Path, artefact: Artefact) -> Path:
    """Return the path of an artefact after verifying it.

    Raises:
        TargetRejected: it is missing, not a plain file, or not of the listed length and digest.
    """
    path = folder / artefact.name
    fix = "Fetch the release again; never repair it by hand."
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise TargetRejected("release lacks a file it lists", value=path, fix=fix) from None
    if not stat.S_ISREG(status.st_mode):
        raise TargetRejected("release file is a link or folder, not a plain file", value=path, fix=fix)
    if status.st_size != artefact.size_bytes:
        lengths = f"{path} has {status.st_size} bytes, listed are {artefact.size_bytes}"
        raise TargetRejected("release file has the wrong length", value=lengths, fix=fix)
    if sha256_of(path) != artefact.sha256:
        raise TargetRejected("release file is not the one listed (SHA-256 differs)", value=path, fix=fix)
    return path


def describe_artefact(path: Path) -> Artefact:
    """Return the entry that lists the file at ``path``."""
    return Artefact(name=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)


def read_golden(folder: Path, release: Release) -> GoldenCases:
    """Return the golden cases of a release, checked against its description.

    Raises:
        ReleaseError: the cases cannot be read, or belong to another release.
    """
    golden = load_golden(folder / GOLDEN_FILE)
    size = release.preprocessing.image_size
    same = (
        golden.inputs.shape[1:] == (3, size, size)
        and tuple(golden.referable) == release.referable_mask
        and golden.threshold == release.threshold.value
        and golden.temperature == release.temperature
    )
    if not same:
        raise ReleaseError(
            "golden cases belong to another release", value=folder / GOLDEN_FILE, fix="Build the release again."
        )
    return golden
