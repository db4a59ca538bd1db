"""TensorRT on the unit's own GPU, in a child process (``worker_process``) in the board's own Python.

Opening a release, in this order, each step only if the one before gave nothing:

1. a proven engine from the cache (its key names everything it depends on);
2. an engine that a twin built (``twins``), proven now;
3. with ``EYEBRIGHT_REFIT=1``, an older engine with the new weights, proven now;
4. an engine built now, with less and less working memory while memory runs out, proven now.

* Only 1 happens on the screening path; 2 to 4 take minutes and belong to an update (``build=True``).
* Proven means the release's golden cases, on this machine, with the tolerance that the release gives for the precision.
  An engine that fails is deleted; a refitted or adopted one is then replaced by a built one.
* FP16 is used only where the release says what it loses. From TensorRT 11 on it comes from the FP16 network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eyebright_common.closing import Closing
from eyebright_common.digests import sha256_of
from eyebright_common.errors import GoldenMismatch, ReleaseError
from eyebright_common.release import MODEL_FILE, MODEL_FILES, Release, read_release
from eyebright_common.release.engines import EngineKey, EnginePrecision, EngineProof, Fingerprint
from eyebright_edge.runtime.board.tensorrt_worker.frames import FrameError, pack_arrays, unpack_arrays
from eyebright_edge.runtime.board.tensorrt_worker.onnx_weights import outline
from eyebright_edge.runtime.engine_cache import CachedEngine, EngineCache
from eyebright_edge.runtime.golden import prove_runtime
from eyebright_edge.runtime.machine import fingerprint
from eyebright_edge.runtime.protocol import FloatArray, require_input
from eyebright_edge.runtime.settings import RuntimeSettings
from eyebright_edge.runtime.worker_process import WorkerFailed, WorkerProcess

Progress = Callable[[str], None]
Clock = Callable[[], datetime]

_REFIT = "refit"
_WORTH_A_NEW_BUILD = ("null-engine", "null-context", "wrong-engine", "unreadable")


class TensorRtRuntime(Closing):
    """A release's engine, loaded in the worker.

    Args:
        worker: Has the engine loaded; owned from now on.
        engine: What is known of the engine.
        loaded: What the worker answered to ``load``.
        run_s: How long one picture may take.
        notices: What a person must know.

    Raises:
        WorkerFailed: the engine does not keep the release contract.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        engine: CachedEngine,
        loaded: Mapping[str, Any],
        *,
        run_s: float,
        notices: tuple[str, ...] = (),
    ) -> None:
        self.engine = engine
        self.notices = notices
        self.device_memory_bytes = int(loaded.get("device_memory_bytes", 0))
        self.image_size, self.classes = _check_contract(loaded, engine.key)
        self.precision: EnginePrecision = engine.key.precision
        self._worker = worker
        self._run_s = run_s

    @property
    def name(self) -> str:
        """``tensorrt-fp16`` or ``tensorrt-fp32``."""
        return f"tensorrt-{self.precision}"

    @property
    def fingerprint(self) -> Fingerprint:
        """The machine that the engine is for: this one."""
        return self.engine.key.fingerprint

    @property
    def worker_memory_bytes(self) -> int:
        """The most memory that the worker was seen with."""
        return self._worker.peak_memory_bytes

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``logits [1, C]`` and ``cam [1, C, h, w]`` for ``image [1, 3, S, S]``, RGB, range 0–255.

        Raises:
            ReleaseError: the picture has another shape.
            WorkerFailed: the worker did not answer, or not so.
        """
        require_input(image, self.image_size)
        described, payload = pack_arrays({"image": image})
        answer = self._worker.ask("run", {"arrays": described}, payload, deadline_s=self._run_s)
        try:
            found = unpack_arrays(answer.header.get("arrays"), answer.payload)
            return found["logits"], found["cam"]
        except (FrameError, KeyError) as error:
            raise WorkerFailed("garbled", error) from error

    def inspect(self) -> str:
        """Return what TensorRT tells of the engine's layers, JSON."""
        return self._worker.ask("inspect", deadline_s=self._run_s).payload.decode("utf-8", "replace")

    def close(self) -> None:
        """End the worker."""
        self._worker.close()


def probe_tensorrt(settings: RuntimeSettings) -> Mapping[str, Any]:
    """Return what the worker finds on this machine: GPU, driver, TensorRT.

    Raises:
        WorkerFailed: there is no TensorRT that answers.
    """
    with _start(settings) as worker:
        return worker.ask("probe", deadline_s=settings.patience.probe).header


def open_tensorrt(
    folder: Path,
    settings: RuntimeSettings,
    *,
    build: bool,
    progress: Progress = lambda text: None,
    clock: Clock = lambda: datetime.now(UTC),
) -> TensorRtRuntime:
    """Load a release with TensorRT.

    Args:
        folder: The release's folder.
        settings: How this unit computes.
        build: Whether an engine may be made now, which takes minutes.
        progress: Told what is being done.
        clock: The present time, aware.

    Raises:
        WorkerFailed: TensorRT is not there, cannot, or (``not-built``) has no engine yet.
        GoldenMismatch: the engine was built and computes something else.
        ReleaseError: the folder holds no release.
    """
    release = read_release(folder, networks=())
    with ExitStack() as on_failure:
        worker = on_failure.enter_context(_start(settings))
        probed = worker.ask("probe", deadline_s=settings.patience.probe).header
        goal = _goal(folder, release, settings, probed)
        opening = _Opening(goal=goal, cache=EngineCache(settings.engines), settings=settings, progress=progress)
        known, notice = opening.cache.find(goal.key)
        if known is not None and known.proof is not None:
            try:
                runtime = opening.load(worker, known, opening.cache.engine_file(goal.key), ())
            except WorkerFailed as failure:
                if failure.word not in _WORTH_A_NEW_BUILD:
                    raise
                opening.cache.drop(goal.key)
                notice = "A built engine could not be loaded; it was deleted and is built again."
            else:
                on_failure.pop_all()
                return runtime
    notices = (notice,) if notice else ()
    if not build:
        raise WorkerFailed("not-built", notice or None)
    with opening.cache.making():
        return opening.make(clock, notices)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Goal:
    """What is to be opened: the release, the file the engine comes from, the key it must have."""

    folder: Path
    release: Release
    model: Path
    key: EngineKey
    outline: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    goal: _Goal
    cache: EngineCache
    settings: RuntimeSettings
    progress: Progress

    def load(
        self, worker: WorkerProcess, engine: CachedEngine, file: Path, notices: tuple[str, ...]
    ) -> TensorRtRuntime:
        """Load an engine into a worker, which the runtime then owns."""
        loaded = worker.ask("load", {"engine": str(file)}, deadline_s=self.settings.patience.load).header
        return TensorRtRuntime(worker, engine, loaded, run_s=self.settings.patience.run, notices=notices)

    def make(self, clock: Clock, notices: tuple[str, ...]) -> TensorRtRuntime:
        """Return the first candidate that proves itself."""
        failure: GoldenMismatch | WorkerFailed | None = None
        for candidate in self._candidates(clock):
            try:
                return self._proven(candidate, notices)
            except GoldenMismatch as mismatch:
                failure = mismatch
            except WorkerFailed as failed:
                if candidate.made == "built":
                    raise
                failure = failed
            finally:
                self.cache.draft_file(self.goal.key).unlink(missing_ok=True)
            self.progress(f"{failure} ({candidate.made})")
        assert failure is not None, "the last candidate is always a build"
        raise failure

    def _candidates(self, clock: Clock) -> Iterator[CachedEngine]:
        key = self.goal.key
        known, _ = self.cache.find(key)
        if known is not None:
            yield known
            self.cache.drop(key)
        older = self.cache.relative(key, self.goal.outline) if _REFIT in key.flags else None
        if older is not None:
            self.progress("refit an engine with the new weights")
            try:
                seconds = self._refit(older)
            except WorkerFailed as failure:
                self.progress(str(failure))
            else:
                yield self._described("refitted", seconds, clock)
        self.progress("build an engine; this takes minutes")
        yield self._described("built", self._build(), clock)

    def _proven(self, candidate: CachedEngine, notices: tuple[str, ...]) -> TensorRtRuntime:
        draft = self.cache.draft_file(candidate.key)
        place = draft if draft.exists() else self.cache.engine_file(candidate.key)
        with ExitStack() as on_failure:
            worker = on_failure.enter_context(_start(self.settings))
            runtime = self.load(worker, candidate, place, notices)
            self.progress("prove the engine on the golden cases")
            report = prove_runtime(runtime, self.goal.folder, self.goal.release)
            report.require(runtime.name)
            proven = candidate.model_copy(update={"proof": EngineProof.of(report)})
            if place == draft:
                self.cache.put(proven, draft)
            else:
                self.cache.note(proven)
            runtime.engine = proven
            on_failure.pop_all()
        return runtime

    def _build(self) -> float:
        failure: WorkerFailed | None = None
        for workspace in self.settings.workspaces:
            request = {
                "model": str(self.goal.model),
                "engine": str(self.cache.draft_file(self.goal.key)),
                "precision": self.goal.key.precision,
                "refittable": _REFIT in self.goal.key.flags,
                "workspace_bytes": workspace,
                "timing_cache": str(self.cache.timing_cache_file(self.goal.key)),
            }
            try:
                return self._ask("build", request)
            except WorkerFailed as failed:
                if failed.word != "out-of-memory":
                    raise
                failure = failed
                self.progress(f"memory ran out with {workspace >> 20} MB for the builder; less is tried")
        assert failure is not None, "there is always a workspace to try"
        raise failure

    def _refit(self, older: CachedEngine) -> float:
        request = {
            "model": str(self.goal.model),
            "older": str(self.cache.engine_file(older.key)),
            "engine": str(self.cache.draft_file(self.goal.key)),
        }
        return self._ask("refit", request)

    def _ask(self, command: str, request: Mapping[str, Any]) -> float:
        # A worker of its own for each: what a build leaves behind in memory goes with it.
        with _start(self.settings) as worker:
            answer = worker.ask(command, request, deadline_s=self.settings.patience.build, progress=self.progress)
        return float(answer.header["seconds"])

    def _described(self, made: Any, seconds: float, clock: Clock) -> CachedEngine:
        draft = self.cache.draft_file(self.goal.key)
        return CachedEngine(
            key=self.goal.key,
            sha256=sha256_of(draft),
            size_bytes=draft.stat().st_size,
            outline=self.goal.outline,
            made=made,
            seconds=seconds,
            at=clock(),
        )


def engine_key(release: Release, settings: RuntimeSettings, probed: Mapping[str, Any]) -> tuple[EngineKey, str]:
    """Return the key of the engine that this machine needs for a release, and the file it is built from."""
    half = settings.precision != "fp32" and release.variant("fp16") is not None
    precision: EnginePrecision = "fp16" if half else "fp32"
    name = MODEL_FILES[precision] if probed.get("precision") == "graph" else MODEL_FILE
    size = release.preprocessing.image_size
    key = EngineKey(
        model_sha256=release.artefact(name).sha256,
        fingerprint=fingerprint(probed),
        precision=precision,
        input_shape=(1, 3, size, size),
        flags=(_REFIT,) if settings.refit else (),
        adapter=int(probed["adapter"]),
    )
    return key, name


def _goal(folder: Path, release: Release, settings: RuntimeSettings, probed: Mapping[str, Any]) -> _Goal:
    key, name = engine_key(release, settings, probed)
    model = folder / name
    try:
        shape = outline(model.read_bytes())
    except FileNotFoundError:
        fix = "Run `eyebright edge update`: it fetches what this machine computes with."
        raise ReleaseError("the network was not fetched", value=model, fix=fix) from None
    except ValueError as error:
        raise ReleaseError("the network cannot be read", value=f"{model} ({error})", fix="Fetch it again.") from error
    return _Goal(folder=folder, release=release, model=model.resolve(), key=key, outline=shape)


def _start(settings: RuntimeSettings) -> WorkerProcess:
    return WorkerProcess(
        settings.board_python,
        memory_limit_bytes=settings.memory_limit_bytes,
        silence_s=settings.patience.silence,
        environment=settings.environment,
    )


def _check_contract(loaded: Mapping[str, Any], key: EngineKey) -> tuple[int, int]:
    shapes = {str(one["name"]): (bool(one["input"]), list(one["shape"])) for one in loaded["tensors"]}
    match shapes:
        case {
            "image": (True, [1, 3, int(height), int(width)]),
            "logits": (False, [1, int(classes)]),
            "cam": (False, [1, int(maps), _, _]),
        } if classes == maps and len(shapes) == 3 and (1, 3, height, width) == key.input_shape:
            return height, classes
    raise WorkerFailed("wrong-engine", f"its tensors are {shapes}")
