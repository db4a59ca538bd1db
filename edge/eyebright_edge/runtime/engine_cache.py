"""Built engines on disk, by the digest of everything they depend on.

::

    engines/
    ├── KEY.engine      the engine
    ├── KEY.json        what it was made from, its digest, how it was proven; written last, so it vouches for the other
    ├── timing-….cache  what TensorRT measured while it built, a hint for the next build on the same machine
    └── lock            held while an engine is being made

* A key that differs in anything is another engine. Nothing is ever looked up by less than the whole key.
* An engine is read only after its digest was compared. A damaged one is deleted, said so, and made again.
* The engines of the two newest networks are kept, for going back; the rest is deleted when one is added.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from eyebright_common.digests import sha256_of
from eyebright_common.documents import StrictDocument
from eyebright_common.durable import move_into_place, sync_file, write_bytes
from eyebright_common.errors import EyebrightError
from eyebright_common.release.engines import EngineKey, EngineProof

_KEPT_NETWORKS = 2


class CachedEngine(StrictDocument):
    """What is known of an engine on disk.

    Attributes:
        schema_: Version of this file's shape.
        key: What it was made from and for.
        sha256: Its digest.
        size_bytes: Its length.
        outline: Digest of its network without the weights; what it may be refitted for.
        made: ``built`` here, ``refitted`` here, or ``adopted`` from a twin.
        seconds: How long that took.
        at: When it was put here.
        proof: How it did on the release's golden cases on this machine; None until it has.
    """

    schema_: Literal["eyebright.cached-engine/1"] = Field(default="eyebright.cached-engine/1", alias="schema")
    key: EngineKey
    sha256: str
    size_bytes: int = Field(ge=1)
    outline: str
    made: Literal["built", "refitted", "adopted"]
    seconds: float = Field(ge=0.0)
    at: AwareDatetime
    proof: EngineProof | None = None


class EngineCache:
    """The engines of this machine.

    Args:
        folder: Where they lie; made when something is put there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def engine_file(self, key: EngineKey) -> Path:
        """Where the engine of a key lies, or would lie."""
        return self.folder / f"{key.digest}.engine"

    def draft_file(self, key: EngineKey) -> Path:
        """Where the engine of a key is written before it counts."""
        return self.folder / f".{key.digest}.engine.part"

    def timing_cache_file(self, key: EngineKey) -> Path:
        """What TensorRT measured on a machine like the key's."""
        return self.folder / f"timing-{_digest_of_machine(key)}.cache"

    def find(self, key: EngineKey) -> tuple[CachedEngine | None, str]:
        """Return the engine of a key, whole or not at all, and a notice when a damaged one had to be deleted."""
        known = self._read(self._facts_file(key))
        engine = self.engine_file(key)
        if known is None and not engine.exists() and not self._facts_file(key).exists():
            return None, ""
        if known is not None and known.key == key and _is_whole(engine, known):
            return known, ""
        self.drop(key)
        return None, "A built engine was damaged; it was deleted and is built again."

    def put(self, engine: CachedEngine, draft: Path) -> None:
        """Give a draft its place among the engines, and forget those of older networks.

        Args:
            engine: What is known of it.
            draft: Its bytes, on the same disk.
        """
        sync_file(draft)
        move_into_place(draft, self.engine_file(engine.key))
        self.note(engine)
        self._forget_old(engine)

    def note(self, engine: CachedEngine) -> None:
        """Replace what is known of an engine, e.g. by how it was proven."""
        write_bytes(self._facts_file(engine.key), engine.to_json(), mode=0o600)

    def drop(self, key: EngineKey) -> None:
        """Delete an engine; the note of it goes first, so that it never vouches for nothing."""
        self._facts_file(key).unlink(missing_ok=True)
        self.engine_file(key).unlink(missing_ok=True)
        self.draft_file(key).unlink(missing_ok=True)

    def relative(self, key: EngineKey, outline: str) -> CachedEngine | None:
        """Return the newest proven engine that differs in nothing but the values of the weights, None without one."""
        same = [
            one
            for one in self._all()
            if one.key.model_copy(update={"model_sha256": key.model_sha256}) == key
            and one.key != key
            and one.outline == outline
            and one.proof is not None
            and _is_whole(self.engine_file(one.key), one)
        ]
        return max(same, key=lambda one: one.at, default=None)

    def all(self) -> list[CachedEngine]:
        """Return what is known of every engine here, the newest first."""
        return sorted(self._all(), key=lambda one: one.at, reverse=True)

    @contextmanager
    def making(self) -> Iterator[None]:
        """Hold the right to make engines here; the kernel gives it back when the process dies.

        Raises:
            EyebrightError: another process holds it, or nothing can be written here.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = (self.folder / "lock").open("wb")
        except OSError as error:
            found = f"{self.folder} ({error.strerror})"
            raise EyebrightError(
                "engines cannot be kept here", value=found, fix="Set EYEBRIGHT_ENGINES to a folder of your own."
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise EyebrightError(
                    "an engine is being built already", value=self.folder, fix="Wait until it has ended."
                ) from error
            yield

    def _facts_file(self, key: EngineKey) -> Path:
        return self.folder / f"{key.digest}.json"

    def _all(self) -> list[CachedEngine]:
        files = sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []
        return [known for file in files if (known := self._read(file)) is not None]

    def _forget_old(self, newest: CachedEngine) -> None:
        kept = {newest.key.model_sha256}
        for one in self.all():
            if len(kept) < _KEPT_NETWORKS:
                kept.add(one.key.model_sha256)
            if one.key.model_sha256 not in kept:
                self.drop(one.key)

    @staticmethod
    def _read(file: Path) -> CachedEngine | None:
        try:
            return CachedEngine.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            return None


def _is_whole(file: Path, known: CachedEngine) -> bool:
    try:
        return file.stat().st_size == known.size_bytes and sha256_of(file) == known.sha256
    except OSError:
        return False


def _digest_of_machine(key: EngineKey) -> str:
    content = key.fingerprint.model_dump_json() + key.precision
    return hashlib.sha256(content.encode()).hexdigest()[:16]
