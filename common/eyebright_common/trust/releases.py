"""How releases are named among the targets of the update framework.

* A file of a release is the target ``releases/<task>/<version>/<file>``; a version is a whole number in decimal.
* The target ``…/release.json`` carries signed custom data, ``{"release": {"task", "version", "files"}}``. A release
  exists exactly when that target does, and consists of exactly the files named there: a list of releases can be made
  from trusted metadata alone, before anything is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tuf.api.metadata import TargetFile

from eyebright_common.errors import InputError, TrustError

RELEASE_FILE = "release.json"
_TASK = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


class ReleaseCustom(BaseModel):
    """The signed custom data of a ``release.json`` target."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: str = Field(pattern=_TASK.pattern + "$")
    version: str = Field(pattern=_VERSION.pattern + "$")
    files: tuple[str, ...] = Field(max_length=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableRelease:
    """A release that trusted metadata offers.

    Attributes:
        task: The screening task.
        version: A whole number in decimal; the highest is the newest.
        files: File names in the release, ``release.json`` among them.
        size_bytes: All of them together.
        sha256: Of ``release.json``, which holds the digests of the rest.
    """

    task: str
    version: str
    files: tuple[str, ...]
    size_bytes: int
    sha256: str


def target_name(task: str, version: str, file: str) -> str:
    """Return the target name of one file of a release.

    Raises:
        InputError: a part cannot stand in a target name.
    """
    for what, pattern, value in (("task", _TASK, task), ("version", _VERSION, version), ("file", _FILE, file)):
        if not pattern.fullmatch(value):
            raise InputError(f"this cannot be the {what} of a release target", value=value[:120])
    return f"releases/{task}/{version}/{file}"


def releases_among(targets: Iterable[TargetFile]) -> tuple[AvailableRelease, ...]:
    """Return the releases described by trusted targets, by task, oldest first.

    Raises:
        TrustError: the signed description of a release contradicts the signed targets.
    """
    by_name = {target.path: target for target in targets}
    found = [
        _release(target, by_name)
        for name, target in by_name.items()
        if name.startswith("releases/") and name.endswith(f"/{RELEASE_FILE}")
    ]
    return tuple(sorted(found, key=lambda release: (release.task, int(release.version))))


def _release(target: TargetFile, by_name: dict[str, TargetFile]) -> AvailableRelease:
    custom = target.custom if isinstance(target.custom, dict) else {}
    try:
        said = ReleaseCustom.model_validate(custom.get("release"))
        names = [target_name(said.task, said.version, file) for file in said.files]
    except (ValidationError, InputError) as error:
        raise TrustError("a signed release is badly described", value=target.path, fix="Tell the operator.") from error
    described = target_name(said.task, said.version, RELEASE_FILE)
    missing = [name for name in names if name not in by_name]
    if described != target.path or described not in names or missing:
        raise TrustError("a signed release contradicts itself", value=target.path, fix="Tell the operator.")
    return AvailableRelease(
        task=said.task,
        version=said.version,
        files=said.files,
        size_bytes=sum(by_name[name].length for name in names),
        sha256=target.hashes["sha256"],
    )
