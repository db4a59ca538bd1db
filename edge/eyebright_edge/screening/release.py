"""A release opened for screening: verified, loaded, and known to fit this unit's own code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2

from eyebright_common.errors import ReleaseError
from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.release import Release, read_release
from eyebright_edge.runtime import Runtime, open_runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRelease:
    """A verified release and the runtime that has loaded it."""

    release: Release
    runtime: Runtime


def open_release(folder: Path, *, threads: int = 2) -> ServingRelease:
    """Verify and load the release in ``folder``, for a process that screens one picture at a time from now on.

    Args:
        folder: A release folder.
        threads: Threads inside one operator.

    Raises:
        ReleaseError: there is no release, it cannot be loaded, or it needs other preprocessing than this unit has.
        TargetRejected: a file of it is missing or damaged.
    """
    # Pictures are small by the time OpenCV gets them: sharing them out between cores costs more than it saves, and
    # the other core is the browser's.
    cv2.setNumThreads(1)
    release = read_release(folder, networks=())
    if release.preprocessing.id != PREPROCESSING_ID:
        raise ReleaseError(
            f"the release prepares pictures by {release.preprocessing.id!r}, this unit by {PREPROCESSING_ID!r}",
            value=folder,
            fix="Use the Eyebright version that the release was built with.",
        )
    runtime = open_runtime(folder, threads=threads)
    expected = (release.preprocessing.image_size, len(release.classes))
    if (runtime.image_size, runtime.classes) != expected:
        raise ReleaseError(
            "the release's network and its description disagree",
            value=f"size and classes {(runtime.image_size, runtime.classes)}, described {expected}",
            fix="Fetch the release again.",
        )
    return ServingRelease(release=release, runtime=runtime)
