"""What a release folder becomes in the signed repository, and whether it may.

* Every file of the folder is a target; plain files only. ``release.json`` carries a note of task, version and files, so
  that a unit finds a release by what is signed, not by names.
* Engines that builders made stand beside the release under names of their own (``engine_key_of``); they come and go
  without changing what the release is.
* A version is published once. The same bytes again change nothing; other bytes under a published version are refused,
  and so is a version below a published one. Going back is a new, higher version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tuf.api.metadata import TargetFile

from eyebright_common.errors import InputError, ReleaseError
from eyebright_common.release.engines import engine_key_of
from eyebright_common.trust import BUNDLE_FILE, RELEASE_FILE, AvailableRelease, releases_among, target_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseTargets:
    """A release folder, ready to be signed.

    Attributes:
        release: What units will see.
        targets: The signed description of each file, by target name.
        sources: The file itself, by target name.
    """

    release: AvailableRelease
    targets: dict[str, TargetFile]
    sources: dict[str, Path]

    @classmethod
    def of(cls, folder: Path, *, task: str | None = None, version: str | None = None) -> ReleaseTargets:
        """Return the targets of the release in ``folder``.

        Args:
            folder: Plain files with ``release.json`` among them.
            task: What ``release.json`` must say; taken from it when left out.
            version: Likewise.

        Raises:
            ReleaseError: the folder is no release, or another one.
        """
        task, version = _described(folder, task, version)
        sources = _sources(folder, task, version)
        targets = {name: TargetFile.from_file(name, str(path), ["sha256"]) for name, path in sources.items()}
        note = {"task": task, "version": version, "files": [path.name for path in sources.values()]}
        targets[target_name(task, version, RELEASE_FILE)].unrecognized_fields["custom"] = {"release": note}
        (release,) = releases_among(targets.values())
        return cls(release=release, targets=targets, sources=sources)

    @property
    def folder_name(self) -> str:
        """What the names of all its targets begin with, without the final slash."""
        return next(iter(self.targets)).rpartition("/")[0]

    def with_bundle(self, bundle: Path) -> ReleaseTargets:
        """Return these with the model-signing bundle as one target more; units do not download it."""
        name = f"{self.folder_name}/{BUNDLE_FILE}"
        target = TargetFile.from_file(name, str(bundle), ["sha256"])
        return replace(self, targets={**self.targets, name: target}, sources={**self.sources, name: bundle})

    def are_among(self, published: Mapping[str, TargetFile]) -> bool:
        """Return whether this very release is published already; False when it may be.

        Raises:
            ReleaseError: its version is published with other bytes, or a newer one is published.
        """
        versions = {r.version for r in releases_among(published.values()) if r.task == self.release.task}
        if self.release.version not in versions:
            _must_be_newer(self.release.version, versions)
            return False
        prefix = f"{self.folder_name}/"
        known = {name: target for name, target in published.items() if name.startswith(prefix)}
        known.pop(prefix + BUNDLE_FILE, None)  # signed anew it would have other bytes, and say the same
        known = {name: target for name, target in known.items() if engine_key_of(name.removeprefix(prefix)) is None}
        if known != self.targets:
            raise ReleaseError(
                "this version is published with other bytes",
                value=prefix,
                fix=f"Use a version above {self.release.version}.",
            )
        return True


def checked_target(name: str) -> str:
    """Return ``name`` when it can be that of a single target: no part of a release, unless it is an engine's.

    Raises:
        ReleaseError: it cannot.
    """
    parts = name.split("/")
    of_release = parts[0] == "releases" and not (len(parts) == 4 and engine_key_of(parts[3]))
    if of_release or any(part in {"", ".", ".."} for part in parts) or not name.isascii():
        raise ReleaseError("this cannot be the name of a target", value=name, fix="Use plain names and '/'.")
    return name


def _described(folder: Path, task: str | None, version: str | None) -> tuple[str, str]:
    path = folder / RELEASE_FILE
    try:
        said = json.loads(path.read_bytes())
        found = (str(said["task"]), str(said["version"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError("this folder is not a release", value=path, fix="Build the release first.") from error
    if found != (task or found[0], version or found[1]):
        raise ReleaseError("the release says it is another", value=" ".join(found), fix="Name the right folder.")
    return found


def _sources(folder: Path, task: str, version: str) -> dict[str, Path]:
    sources = {}
    for path in sorted(folder.iterdir()):
        if path.name == BUNDLE_FILE:
            raise ReleaseError(
                "the name of the model-signing bundle is taken", value=path, fix="Remove it: publishing makes one."
            )
        if engine_key_of(path.name) is not None:
            raise ReleaseError("a release holds no engines", value=path, fix="Remove it: builders send them later.")
        if path.is_symlink() or not path.is_file():
            raise ReleaseError("a release holds plain files only", value=path, fix="Remove it and publish again.")
        try:
            sources[target_name(task, version, path.name)] = path
        except InputError as error:
            raise ReleaseError(error.what, value=error.value, fix="Rename it and publish again.") from error
    return sources


def _must_be_newer(version: str, published: set[str]) -> None:
    newest = max(map(int, published), default=0)
    if int(version) <= newest:
        raise ReleaseError(
            "a newer version is published already", value=newest, fix=f"Use a version above {newest}, also to go back."
        )
