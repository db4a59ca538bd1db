"""Golden cases: the proof that a machine computes what the server computed.

A release carries a few prepared pictures with the logits that its ONNX file gave on the server. Before a machine serves
a release it runs them and compares:

* no logit differs by more than ``tolerance``;
* no referral decision flips at the shipped threshold, except for a case whose expected score lies within ``band`` of
  it, where a difference in the last digits may fall on either side;
* every must-refer case is referred, band or not;
* anything that is not a finite number fails.

The pictures are synthetic or the operator's own, never a hospital's. The file holds plain arrays (no pickle) and equal
cases give equal bytes.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eyebright_common.durable import write_bytes
from eyebright_common.errors import GoldenMismatch, ReleaseError
from eyebright_common.release.decision import referable_scores

FP32_TOLERANCE = 1e-2
DECISION_BAND = 0.02

_LARGEST_FILE_BYTES = 256 << 20
# What reading a damaged archive raises: NotImplementedError names a compression, RuntimeError an encryption.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
_ARRAYS = {
    "inputs": (np.uint8, 4),
    "logits": (np.float32, 2),
    "must_refer": (np.bool_, 1),
    "referable": (np.bool_, 1),
    "tolerance": (np.float64, 0),
    "band": (np.float64, 0),
    "threshold": (np.float64, 0),
    "temperature": (np.float64, 0),
}

Run = Callable[[npt.NDArray[np.float32]], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCases:
    """The golden cases of a release; K cases, C classes.

    Attributes:
        inputs: Prepared pictures, RGB, uint8 ``[K, 3, S, S]``.
        logits: What FP32 ONNX Runtime gave for them, float32 ``[K, C]``.
        must_refer: Cases that every machine must refer, bool ``[K]``.
        referable: Which classes are referable, bool ``[C]``.
        tolerance: Largest allowed difference of a logit.
        band: Half-width, in score, around the threshold inside which a flipped decision is forgiven.
        threshold: The shipped operating point.
        temperature: The shipped calibration temperature.
    """

    inputs: npt.NDArray[np.uint8]
    logits: npt.NDArray[np.float32]
    must_refer: npt.NDArray[np.bool_]
    referable: npt.NDArray[np.bool_]
    threshold: float
    temperature: float
    tolerance: float = FP32_TOLERANCE
    band: float = DECISION_BAND

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The expected referable scores, ``[K]``."""
        return self.scores_of(self.logits)

    def scores_of(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the referable scores, ``[K]``, of other logits ``[K, C]`` for these cases."""
        return referable_scores(logits, temperature=self.temperature, referable=self.referable.tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenReport:
    """How a machine did on the golden cases.

    Attributes:
        cases: How many were run.
        max_abs_logit_difference: Largest difference of any logit; infinite when an output is not finite.
        max_abs_score_difference: Largest difference of any referable score.
        decision_flips: Decisions that changed outside the band, plus must-refer cases that were not referred.
        tolerance: The limit that ``max_abs_logit_difference`` was held to.
        passed: Whether the machine may serve the release.
    """

    cases: int
    max_abs_logit_difference: float
    max_abs_score_difference: float
    decision_flips: int
    tolerance: float
    passed: bool

    def require(self, where: str) -> None:
        """Do nothing when the cases passed.

        Args:
            where: The machine or runtime, for the message.

        Raises:
            GoldenMismatch: they did not.
        """
        if not self.passed:
            found = f"{where}: logits differ by {self.max_abs_logit_difference:.3g} (allowed {self.tolerance:.3g})"
            raise GoldenMismatch(
                f"release fails its golden cases, {self.decision_flips} of {self.cases} decisions change",
                value=found,
                fix="Keep the release that is active; rebuild the engine or report this machine to the operator.",
            )


def prove(run: Run, golden: GoldenCases, threshold: float | None = None) -> GoldenReport:
    """Run the golden cases, one picture at a time, and compare.

    Args:
        run: Takes float32 ``[1, 3, S, S]`` in 0–255, returns logits ``[1, C]`` and cam ``[1, C, h, w]``.
        golden: The cases.
        threshold: Operating point to judge decisions at; the one in ``golden`` when None.

    Raises:
        GoldenMismatch: an output has the wrong shape.
    """
    found = np.concatenate([_run_one(run, picture, golden.logits.shape[1]) for picture in golden.inputs])
    return compare(found, golden, threshold)


def compare(found: npt.NDArray[np.floating], golden: GoldenCases, threshold: float | None = None) -> GoldenReport:
    """Compare logits ``[K, C]`` that some runtime gave for the golden inputs with the expected ones."""
    limit = golden.threshold if threshold is None else threshold
    broken = ~np.isfinite(found).all(axis=1)
    scores = golden.scores_of(np.where(broken[:, None], 0.0, found))
    referred, expected = scores >= limit, golden.scores >= limit
    outside_band = np.abs(golden.scores - limit) > golden.band
    flips = broken | ((referred != expected) & outside_band) | (golden.must_refer & ~referred)
    any_broken = bool(broken.any())
    logit_difference = float("inf") if any_broken else float(np.abs(found - golden.logits).max())
    return GoldenReport(
        cases=len(found),
        max_abs_logit_difference=logit_difference,
        max_abs_score_difference=1.0 if any_broken else float(np.abs(scores - golden.scores).max()),
        decision_flips=int(flips.sum()),
        tolerance=golden.tolerance,
        passed=logit_difference <= golden.tolerance and not flips.any(),
    )


def _run_one(run: Run, picture: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.float32]:
    logits, cam = run(picture[None].astype(np.float32))
    if logits.shape != (1, classes) or cam.ndim != 4 or cam.shape[:2] != (1, classes):
        raise GoldenMismatch(
            "model outputs have the wrong shape",
            value=f"logits {logits.shape}, cam {cam.shape}",
            fix=f"Expected logits (1, {classes}) and cam (1, {classes}, h, w): build the engine from this release.",
        )
    return np.where(np.isfinite(cam).all(), logits, np.float32("nan"))


def save_golden(path: Path, golden: GoldenCases) -> None:
    """Write golden cases durably to ``path`` (``.npz``, compressed); equal cases give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (dtype, _) in _ARRAYS.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(getattr(golden, name), dtype=dtype), allow_pickle=False)
            # A ZipInfo of its own carries the year 1980 instead of the clock.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content.getvalue())
    write_bytes(path, buffer.getvalue())


def load_golden(path: Path) -> GoldenCases:
    """Read golden cases.

    Raises:
        ReleaseError: the file is missing, is no such file, or its arrays do not fit together.
    """
    try:
        arrays = _read_arrays(path)
        return _assemble(arrays)
    except _DAMAGED as error:
        raise ReleaseError(
            "golden cases cannot be read", value=f"{path} ({error})", fix="Fetch the release again."
        ) from error


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        # Sizes come from the archive's own table, so a small file cannot unpack into all memory.
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST_FILE_BYTES:
            raise ValueError("unpacks to more than 256 MiB")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in _ARRAYS}


def _assemble(arrays: Mapping[str, npt.NDArray[Any]]) -> GoldenCases:
    for name, (dtype, dimensions) in _ARRAYS.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != dimensions:
            raise ValueError(f"{name} is {arrays[name].dtype} with {arrays[name].ndim} dimensions")
    K, C = arrays["logits"].shape
    if K == 0 or len(arrays["inputs"]) != K or len(arrays["must_refer"]) != K or len(arrays["referable"]) != C:
        raise ValueError("arrays do not describe the same cases")
    if not all(np.isfinite(arrays[name]).all() for name in ("logits", "tolerance", "band", "threshold")):
        raise ValueError("an expected value is not finite")
    if not arrays["temperature"] > 0:
        raise ValueError("temperature is not positive")
    numbers = {name: float(arrays[name]) for name, (_, dimensions) in _ARRAYS.items() if dimensions == 0}
    return GoldenCases(
        inputs=arrays["inputs"],
        logits=arrays["logits"],
        must_refer=arrays["must_refer"],
        referable=arrays["referable"],
        **numbers,
    )
