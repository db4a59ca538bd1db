"""A runtime that has another one in reserve: when it fails in service, the other answers, and says so.

The reserve is the reference runtime, whose outputs the golden cases were made with. The picture that was being screened
is given to it again, so no answer is lost. A picture of the wrong shape is the caller's mistake and stays one.
"""

from __future__ import annotations

from collections.abc import Callable

from eyebright_common.closing import Closing
from eyebright_common.errors import ReleaseError
from eyebright_common.release import Precision
from eyebright_edge.runtime.protocol import FloatArray, Runtime


class RuntimeWithReserve(Closing):
    """A runtime, and what takes its place.

    Args:
        first: Answers as long as it can.
        reserve: Opens what answers afterwards.
        notices: What a person must know from the beginning.
    """

    def __init__(self, first: Runtime, reserve: Callable[[], Runtime], *, notices: tuple[str, ...] = ()) -> None:
        self.serving = first
        self._reserve: Callable[[], Runtime] | None = reserve
        self._notices = notices

    @property
    def name(self) -> str:
        """Name of the runtime that answers now."""
        return self.serving.name

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return self.serving.classes

    @property
    def image_size(self) -> int:
        """Side S of the square input, pixels."""
        return self.serving.image_size

    @property
    def precision(self) -> Precision:
        """What the runtime that answers now computes in."""
        return self.serving.precision

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person must know about how this machine computes."""
        return (*self._notices, *self.serving.notices)

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``logits [1, C]`` and ``cam [1, C, h, w]`` for ``image [1, 3, S, S]``, RGB, range 0–255."""
        if self._reserve is None:
            return self.serving.run(image)
        try:
            return self.serving.run(image)
        except ReleaseError:
            raise
        except Exception as error:  # of whatever kind: libraries that compute share no base class, and a patient waits
            reserve, failed = self._reserve(), self.serving
            self._notices += (f"{failed.name} failed, {reserve.name} answers instead: {error}",)
            self.serving, self._reserve = reserve, None
            failed.close()
            return self.serving.run(image)

    def close(self) -> None:
        """Let go of the runtime that answers now."""
        self.serving.close()
