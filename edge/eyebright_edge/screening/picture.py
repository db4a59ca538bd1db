"""One picture: quality verdict first, then the network, then what it says.

* A rejected picture never reaches the network: it is UNGRADABLE, with the reasons a technician can act on.
* The referable score is the summed calibrated probability of the referable classes.
* The attention map belongs to the referable class with the most evidence: positive parts only, scaled so that its
  strongest place is 1. It says where the network looked, not what is there.
* A volume (a DICOM object of many frames) is screened frame by frame, and its worst gradable frame answers for it. A
  threshold was set for single pictures, so a volume is referred sooner, never later. Without a finding, and with more
  frames rejected than gradable, the volume is UNGRADABLE.
* A picture that cannot be read is a result too (``refused_picture``), so that none vanishes from a visit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import ImageError
from eyebright_common.imaging import Quality, assess_quality, field_of_view, model_input, prepare, read_frames
from eyebright_common.imaging.refusals import Pixels
from eyebright_common.release import Eye, ImageDecision, Release, Verdict, decide_image, probabilities, referable_scores
from eyebright_edge.runtime import FloatArray, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedPicture:
    """What one picture said.

    Attributes:
        name: What the picture is called here; local, never sent.
        eye: Which eye it shows.
        decision: REFER, NO REFERRAL or UNGRADABLE, with score or reasons.
        quality: The quality verdict; None when the picture could not be read.
        probabilities: Calibrated, by class in logit order; empty when the network was not asked.
        prepared: What the network saw, uint8 ``[S, S, 3]``; None when it was not asked.
        attention: Where it looked, float32 ``[h, w]``, 0–1; None when it was not asked.
        attention_class: The referable class the map belongs to.
        milliseconds: Time spent, by step.
        fix: What to do about a picture that could not be read.
        sha256: Digest of the file, where whoever holds the visit took it.
        camera: What took the picture, as the file or the unit says; empty when unknown.
        frame: Which frame answers for a volume, counted from 1.
    """

    name: str
    eye: Eye
    decision: ImageDecision
    quality: Quality | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    prepared: npt.NDArray[np.uint8] | None = None
    attention: FloatArray | None = None
    attention_class: str | None = None
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    fix: str = ""
    sha256: str | None = None
    camera: str = ""
    frame: int = 1

    @property
    def verdict(self) -> Verdict:
        """What this picture alone says."""
        return self.decision.verdict


def screen_picture(
    runtime: Runtime,
    release: Release,
    source: Path | bytes,
    *,
    eye: Eye = Eye.UNKNOWN,
    name: str = "",
) -> ScreenedPicture:
    """Screen one picture, or all frames of a volume.

    Args:
        runtime: What runs the release's network.
        release: The release.
        source: A picture file, or the bytes of one.
        eye: Which eye it shows.
        name: What to call it; default the path.

    Raises:
        ImageError: the picture cannot be read; ``refused_picture`` makes a result of it.
    """
    shown = name or (str(source) if isinstance(source, Path) else "picture")
    return _worst(_screened_frames(runtime, release, source, eye=eye, name=shown))


def _screened_frames(
    runtime: Runtime, release: Release, source: Path | bytes, *, eye: Eye, name: str
) -> Iterator[ScreenedPicture]:
    watch = _Stopwatch()
    frames = read_frames(source, name=name, image_size=release.preprocessing.image_size)
    for number, image in enumerate(frames, start=1):
        watch.lap("decode")
        yield replace(_screened(runtime, release, image, watch, eye=eye, name=name), frame=number)
        watch = _Stopwatch()


def _worst(frames: Iterator[ScreenedPicture]) -> ScreenedPicture:
    """Return the frame that answers for all; only two are held, because a volume of pixels would fill a small unit."""
    gradable: ScreenedPicture | None = None
    rejected: ScreenedPicture | None = None
    balance = 0
    spent: Counter[str] = Counter()
    for frame in frames:
        spent.update(frame.milliseconds)
        score = frame.decision.score
        if score is None:
            balance -= 1
            rejected = rejected or frame
        else:
            balance += 1
            if gradable is None or score > (gradable.decision.score or 0.0):
                gradable = frame
    found = gradable is not None and gradable.verdict is Verdict.REFER
    chosen = rejected if rejected is not None and balance < 0 and not found else gradable or rejected
    assert chosen is not None, "a picture has at least one frame"
    return replace(chosen, milliseconds={step: round(time_ms, 2) for step, time_ms in spent.items()})


def _screened(
    runtime: Runtime, release: Release, image: Pixels, watch: _Stopwatch, *, eye: Eye, name: str
) -> ScreenedPicture:
    # Found once: the verdict and the crop need the same field of view.
    seen = field_of_view(image) if release.modality == "CFP" else None
    quality = assess_quality(image, modality=release.modality, field=seen)
    watch.lap("quality")
    if quality.verdict == "reject":
        decision = decide_image(None, threshold=release.threshold.value, gradable=False, reasons=quality.reasons)
        return ScreenedPicture(name=name, eye=eye, decision=decision, quality=quality, milliseconds=watch.laps)
    prepared = prepare(image, modality=release.modality, size=release.preprocessing.image_size, field=seen)
    watch.lap("prepare")
    logits, cam = runtime.run(model_input(prepared))
    watch.lap("network")
    classes = probabilities(logits, release.temperature)[0]
    score = referable_scores(logits, temperature=release.temperature, referable=release.referable_mask)[0]
    best = int(np.argmax(np.where(release.referable_mask, classes, -1.0)))
    return ScreenedPicture(
        name=name,
        eye=eye,
        decision=decide_image(float(score), threshold=release.threshold.value),
        quality=quality,
        probabilities=dict(zip(release.classes, classes.tolist(), strict=True)),
        prepared=prepared,
        attention=normalised_attention(cam[0, best]),
        attention_class=release.classes[best],
        milliseconds=watch.laps,
    )


def refused_picture(error: ImageError, *, name: str, eye: Eye = Eye.UNKNOWN) -> ScreenedPicture:
    """Return the result for a picture that cannot be read: UNGRADABLE, for that reason."""
    decision = ImageDecision(verdict=Verdict.UNGRADABLE, reasons=(error.reason,))
    return ScreenedPicture(name=name, eye=eye, decision=decision, fix=error.fix)


def normalised_attention(cam: FloatArray) -> FloatArray:
    """Return a class activation map ``[h, w]`` with negative parts removed and its maximum at 1, float32 ``[h, w]``.

    A map without positive parts is all zero.
    """
    positive = np.maximum(cam, 0.0, dtype=np.float32)
    strongest = positive.max()
    return positive / strongest if strongest > 0 else positive


class _Stopwatch:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(1000 * (now - self._last), 2)
        self._last = now
