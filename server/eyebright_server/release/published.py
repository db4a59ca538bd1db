"""A published release as a folder again, and as a release again under a new version.

* ``checkout`` copies a release out of the signed repository, where its files carry their digests in their names, into
  the operator's ``releases`` folder. It is what the next candidate is compared with.
* ``read_published`` reads a release's description and golden cases where they are served, for judging an engine.
* ``release_again`` is how one goes back: the old files under a new, higher version, since no version ever goes down.
  Model, golden cases, threshold and gate report are the old release's; its description says which release it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from eyebright_common.digests import sha256_of
from eyebright_common.durable import move_into_place, write_bytes
from eyebright_common.errors import ReleaseError
from eyebright_common.release import (
    CARD_FILE,
    GOLDEN_FILE,
    RELEASE_FILE,
    GoldenCases,
    Release,
    describe_artefact,
    load_golden,
    parse_release,
    read_release,
)
from eyebright_common.tasks import get_task
from eyebright_common.trust import AvailableRelease, target_name
from eyebright_server.release.change_documents import modifications
from eyebright_server.release.repository import ReleaseRepository


def checkout(repository: Path, release: AvailableRelease, releases: Path) -> Path:
    """Return the folder ``releases/<task>/<version>`` of a published release, copied there when it is missing.

    Args:
        repository: The signed repository's folder.
        release: What its verified metadata offers.
        releases: The operator's folder of releases.

    Raises:
        ReleaseError: the folder there is another release than the one published, or the repository lacks a file.
    """
    folder = releases / release.task / release.version
    if not folder.exists():
        draft = folder.with_name(f".{release.version}.checkout")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name in release.files:
            shutil.copyfile(_published(repository, release, name), draft / name)
        read_release(draft)
        move_into_place(draft, folder)
    if sha256_of(folder / RELEASE_FILE) != release.sha256:
        raise ReleaseError(
            "this folder holds another release than the published one", value=folder, fix="Move it away."
        )
    read_release(folder)
    return folder


def read_published(repository: ReleaseRepository, task: str, version: str) -> tuple[Release, GoldenCases]:
    """Return the description and the golden cases of a published release, compared with what was signed.

    Raises:
        ReleaseError: no such release is published, or its files are not what was signed.
    """
    names = [target_name(task, version, file) for file in (RELEASE_FILE, GOLDEN_FILE)]
    if not any((each.task, each.version) == (task, version) for each in repository.releases()):
        fix = "Update the unit, and build for the release that it then has."
        raise ReleaseError("no such release is published", value=f"{task} {version}", fix=fix)
    described, golden = (repository.target_file(name) for name in names)
    return parse_release(described.read_bytes(), source=f"{task} {version}"), load_golden(golden)


def release_again(old: Path, out: Path, *, version: str, parent: str) -> Path:
    """Write the release in ``old`` once more, as ``out/<version>``; return its folder.

    Args:
        old: A verified release's folder.
        out: The task's releases.
        version: Above every published one.
        parent: The release that it follows.

    Raises:
        ReleaseError: the old one cannot be read, or the version is taken.
    """
    release = read_release(old)
    if (out / version).exists():
        raise ReleaseError("this version is already taken", value=out / version, fix="Publish it, or move it away.")
    draft = out / f".{version}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for artefact in release.artefacts:
        shutil.copyfile(old / artefact.name, draft / artefact.name)
    lineage = release.lineage.model_copy(update={"parent": parent, "again": release.lineage.again or release.version})
    again = release.model_copy(update={"version": version, "lineage": lineage})
    _say_so(draft, again)
    artefacts = tuple(describe_artefact(draft / artefact.name) for artefact in release.artefacts)
    write_bytes(draft / RELEASE_FILE, again.model_copy(update={"artefacts": artefacts}).to_json())
    read_release(draft)
    move_into_place(draft, out / version)
    return out / version


def _say_so(draft: Path, release: Release) -> None:
    """Write the documents that speak of the version anew; everything else stays as it was judged."""
    listed = {artefact.name for artefact in release.artefacts}
    if CARD_FILE in listed:
        before = (draft / CARD_FILE).read_text()
        note = (
            f"# {get_task(release.task).title}: release {release.version}\n\n"
            f"**{release.notice}**\n\nThe student of release {release.lineage.again}, brought back after release\n"
            f"{release.lineage.parent}. Its card follows as it was.\n\n---\n\n"
        )
        write_bytes(draft / CARD_FILE, (note + before).encode())
    if "modifications.md" in listed:
        write_bytes(draft / "modifications.md", modifications(release).encode())


def _published(repository: Path, release: AvailableRelease, name: str) -> Path:
    place = repository / "targets" / "releases" / release.task / release.version
    found = [path for path in place.glob(f"*.{name}") if path.name.partition(".")[2] == name]
    if len(found) != 1 or found[0].is_symlink():
        raise ReleaseError("the repository lacks a file of a release", value=place / name, fix="Restore it.")
    return found[0]
