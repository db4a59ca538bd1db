"""Answering requests, one after the other.

* Standard output belongs to the frames alone: TensorRT prints there, so its descriptor is moved away and what anybody
  prints goes to standard error.
* A thread reads requests, so that a closed pipe (the unit's side has ended) ends this process even inside a build.
* While a request is worked on, another thread tells that this process is alive, as long as it computes: a build takes
  minutes and says nothing. One that neither speaks nor computes is for the unit's side to end.
* When memory runs out the kernel should choose this process, not screening.
"""

import os
import queue
import sys
import threading
import time
from typing import Any, BinaryIO, Callable, Dict, Optional, Tuple

import numpy as np

from . import ADAPTER_VERSION
from .adapter import Adapter, import_tensorrt
from .building import build, refit
from .cuda import Cuda
from .engine import Engine
from .failure import Failure
from .frames import (
    ANSWER,
    FAILURE,
    LONGEST_HEADER_BYTES,
    PROGRESS,
    Frame,
    FrameError,
    pack_arrays,
    read_frame,
    unpack_arrays,
    write_frame,
)

_BEAT_S = 1.0
_LEAST_SPEAKING_S = 0.2
_BUSY_SHARE = 0.01
_OOM_SCORE = "900"

Answer = Tuple[Dict[str, Any], bytes]


class Service:
    """The worker's state: the driver, TensorRT and the loaded engine, each once it was needed."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._cuda: Optional[Cuda] = None
        self._adapter: Optional[Adapter] = None
        self._engine: Optional[Engine] = None
        self._spoke = 0.0
        self._busy = threading.Event()

    def serve(self, requests: "queue.Queue[Frame]") -> None:
        """Answer until a request says ``exit``."""
        threading.Thread(target=self._beat, daemon=True).start()
        while True:
            frame = requests.get()
            if frame.header.get("command") == "exit":
                self._say(ANSWER, {"command": "exit"})
                return
            self._busy.set()
            try:
                header, payload = self._work(frame)
                kind = ANSWER
            except Failure as failure:
                kind, header, payload = FAILURE, {"word": failure.word, "message": failure.message}, b""
            except MemoryError:
                kind, header, payload = FAILURE, {"word": "out-of-memory", "message": "no memory is left"}, b""
            except Exception as error:
                kind, payload = FAILURE, b""
                header = {"word": "unexpected", "message": "%s: %s" % (type(error).__name__, error)}
            self._busy.clear()
            self._say(kind, header, payload)

    def _work(self, frame: Frame) -> Answer:
        commands: Dict[str, Callable[[Frame], Answer]] = {
            "probe": self._probe,
            "build": lambda one: (build(self._attached(), one.header), b""),
            "refit": lambda one: (refit(self._attached(), one.header), b""),
            "load": self._load,
            "run": self._run,
            "inspect": self._inspect,
        }
        name = frame.header.get("command")
        if name not in commands:
            raise Failure("unknown-command", "%r" % (name,))
        try:
            return commands[name](frame)
        except KeyError as error:
            raise Failure("bad-request", "%s lacks %s" % (name, error)) from error

    def _probe(self, frame: Frame) -> Answer:
        cuda, adapter = self._driver(), self._tensorrt()
        facts: Dict[str, Any] = {"python": "%d.%d.%d" % sys.version_info[:3], "numpy": np.__version__}
        facts.update(cuda.facts())
        facts.update(adapter.facts())
        facts["adapter"] = ADAPTER_VERSION
        return facts, b""

    def _load(self, frame: Frame) -> Answer:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        adapter = self._attached()
        self._engine = Engine(adapter, self._driver(), str(frame.header["engine"]))
        return self._engine.facts(), b""

    def _run(self, frame: Frame) -> Answer:
        inputs = unpack_arrays(frame.header["arrays"], frame.payload)
        began = time.perf_counter()
        outputs = self._loaded().run(inputs)
        seconds = time.perf_counter() - began
        described, payload = pack_arrays(outputs)
        return {"arrays": described, "seconds": seconds, "peak_memory_bytes": _peak_resident_bytes()}, payload

    def _inspect(self, frame: Frame) -> Answer:
        return {}, self._loaded().inspect().encode("utf-8")

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise Failure("no-engine", "no engine is loaded")
        return self._engine

    def _driver(self) -> Cuda:
        if self._cuda is None:
            self._cuda = Cuda()
        return self._cuda

    def _tensorrt(self) -> Adapter:
        self._driver()
        if self._adapter is None:
            self._adapter = Adapter(import_tensorrt(), self._progress)
        return self._adapter

    def _attached(self) -> Adapter:
        self._driver().attach()
        return self._tensorrt()

    def _progress(self, text: str) -> None:
        if time.monotonic() - self._spoke >= _LEAST_SPEAKING_S:
            self._say(PROGRESS, {"text": text})

    def _beat(self) -> None:
        computed = time.process_time()
        while True:
            time.sleep(_BEAT_S)
            now = time.process_time()
            # CPU time of all threads: a build computes, a hung GPU does not.
            if self._busy.is_set() and now - computed > _BUSY_SHARE * _BEAT_S:
                self._say(PROGRESS, {"text": "", "cpu_s": round(now, 1)})
            computed = now

    def _say(self, kind: int, header: Dict[str, Any], payload: bytes = b"") -> None:
        message = header.get("message")
        if message is not None and len(message) > LONGEST_HEADER_BYTES // 16:
            header["message"] = message[: LONGEST_HEADER_BYTES // 16]
        with self._lock:
            self._spoke = time.monotonic()
            write_frame(self._out, kind, header, payload)


def main() -> None:
    """Serve requests from standard input until it ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    _offer_to_the_kernel()
    requests: "queue.Queue[Frame]" = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()
    Service(out).serve(requests)
    # TensorRT's own objects may end badly at interpreter exit; nothing is left to be saved.
    sys.stderr.flush()
    os._exit(0)


def _read(stream: BinaryIO, requests: "queue.Queue[Frame]") -> None:
    try:
        while True:
            frame = read_frame(stream)
            if frame is None:
                break
            requests.put(frame)
    except (FrameError, OSError) as error:
        sys.stderr.write("%s\n" % error)
    os._exit(0)


def _offer_to_the_kernel() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(_OOM_SCORE)
    except OSError:
        pass


def _peak_resident_bytes() -> int:
    """Return this program's high-water mark; ``ru_maxrss`` would start at the size of the process that started it."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
