"""Updates from a folder: a USB stick, a mounted share, or a repository on the same machine.

The transport is untrusted by design, so a stick that was carried through the rain is as good as the server: the same
signatures are checked, and the same refusals follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

METADATA_URL = "eyebright://metadata/"
TARGETS_URL = "eyebright://targets/"
_CHUNK_BYTES = 256 * 1024


def split_url(url: str) -> tuple[str, str]:
    """Return ``("metadata" | "targets", name)`` for a URL made by the update client.

    Raises:
        ValueError: the URL is not one of ours.
    """
    for kind, base in (("metadata", METADATA_URL), ("targets", TARGETS_URL)):
        if url.startswith(base):
            return kind, url.removeprefix(base)
    raise ValueError(f"not an update URL: {url}")


class FolderFetcher(FetcherInterface):
    """Fetches from a repository folder holding ``metadata/`` and ``targets/``."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository.resolve()

    def _fetch(self, url: str) -> Iterator[bytes]:
        kind, name = split_url(url)
        path = (self._repository / kind / name).resolve()
        if not path.is_relative_to(self._repository / kind) or not path.is_file():
            # 404 is an answer, not a failure: it is how the client learns that no newer root exists.
            raise DownloadHTTPError(f"no such file in the repository: {name}", 404)
        return _chunks(path)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
