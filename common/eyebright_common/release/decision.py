"""From scores to one plain answer: picture, eye, patient.

Rules (the clinical conventions, in the order they are applied):

* A picture whose quality is rejected has no score. Otherwise its score is the summed probability of the referable
  classes, and it says REFER at or above the release's threshold.
* An eye takes the highest score of its gradable pictures. Pictures, but none gradable: UNGRADABLE. No picture: MISSING.
* A patient is REFER when any eye is; NO REFERRAL only when every eye that was expected is gradable and below the
  threshold; else UNGRADABLE. One ungradable or missing eye beside a negative one is not a negative.
* Ungradable is a risk signal, never a green light: an eye still ungradable after ``retakes`` pictures sends the
  patient on (REFER, reason ``ungradable_after_retakes``). Counting an existing collection leaves ``retakes`` out.
* MISSING is a state of an eye, never the answer for a patient.

It does not decide how many pictures to take, nor what to tell the patient: the screening room does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]


class Verdict(StrEnum):
    """The answer for a picture, an eye or a patient; the value is the word a person reads."""

    REFER = "REFER"
    NO_REFERRAL = "NO REFERRAL"
    UNGRADABLE = "UNGRADABLE"
    MISSING = "MISSING"


class Eye(StrEnum):
    """Laterality, spelt as in the manifest."""

    RIGHT = "R"
    LEFT = "L"
    UNKNOWN = "U"


BOTH_EYES: tuple[Eye, ...] = (Eye.RIGHT, Eye.LEFT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDecision:
    """What one picture says.

    Attributes:
        verdict: REFER, NO REFERRAL or UNGRADABLE.
        score: Summed probability of the referable classes; None when the picture is ungradable.
        reasons: Why it is ungradable, in the quality room's words.
    """

    verdict: Verdict
    score: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EyeDecision:
    """What all pictures of one eye say together.

    Attributes:
        eye: Which eye.
        verdict: REFER, NO REFERRAL, UNGRADABLE or MISSING.
        score: Highest score of its gradable pictures; None without one.
        pictures: How many pictures were taken.
        gradable: How many of them could be judged.
        reasons: Why the eye is ungradable, each reason once.
    """

    eye: Eye
    verdict: Verdict
    score: float | None = None
    pictures: int = 0
    gradable: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientDecision:
    """The answer of a visit.

    Attributes:
        verdict: REFER, NO REFERRAL or UNGRADABLE.
        eyes: Every eye that was expected or photographed, right, left, unknown.
        score: Highest score of any gradable picture; None without one.
        reasons: Why, as stable words: ``referable_finding:R``, ``ungradable:L``, ``missing:L``,
            ``ungradable_after_retakes:R``; empty for NO REFERRAL.
    """

    verdict: Verdict
    eyes: tuple[EyeDecision, ...]
    score: float | None = None
    reasons: tuple[str, ...] = ()


def probabilities(logits: FloatArray, temperature: float) -> npt.NDArray[np.float64]:
    """Return the calibrated class probabilities ``softmax(logits / temperature)``, shape as given, ``[..., C]``."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponent = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    result: npt.NDArray[np.float64] = exponent / exponent.sum(axis=-1, keepdims=True)
    return result


def referable_scores(logits: FloatArray, *, temperature: float, referable: Sequence[bool]) -> npt.NDArray[np.float64]:
    """Return the summed probability of the referable classes, ``[...]``, for logits ``[..., C]``.

    Args:
        logits: Raw outputs of the release's graph.
        temperature: The release's calibration temperature.
        referable: For each class, in logit order, whether it is referable.
    """
    mask = np.asarray(referable, dtype=bool)
    result: npt.NDArray[np.float64] = np.minimum(probabilities(logits, temperature)[..., mask].sum(axis=-1), 1.0)
    return result


def decide_image(
    score: float | None, *, threshold: float, gradable: bool = True, reasons: Iterable[str] = ()
) -> ImageDecision:
    """Return what one picture says; without a finite score, or when not ``gradable``, that is UNGRADABLE.

    Args:
        score: Summed probability of the referable classes.
        threshold: The release's operating point; a score equal to it refers.
        gradable: False when the quality verdict rejected the picture.
        reasons: The quality room's reasons, kept only for an ungradable picture.
    """
    if not gradable or score is None or not np.isfinite(score):
        return ImageDecision(verdict=Verdict.UNGRADABLE, reasons=tuple(reasons))
    return ImageDecision(verdict=Verdict.REFER if score >= threshold else Verdict.NO_REFERRAL, score=float(score))


def decide_eye(eye: Eye, images: Sequence[ImageDecision]) -> EyeDecision:
    """Return what the pictures of one eye say together; no picture at all means MISSING."""
    if not images:
        return EyeDecision(eye=eye, verdict=Verdict.MISSING)
    graded = [image for image in images if image.verdict in (Verdict.REFER, Verdict.NO_REFERRAL)]
    if not graded:
        reasons = tuple(dict.fromkeys(reason for image in images for reason in image.reasons))
        return EyeDecision(eye=eye, verdict=Verdict.UNGRADABLE, pictures=len(images), reasons=reasons)
    refer = any(image.verdict is Verdict.REFER for image in graded)
    return EyeDecision(
        eye=eye,
        verdict=Verdict.REFER if refer else Verdict.NO_REFERRAL,
        score=max(image.score for image in graded if image.score is not None),
        pictures=len(images),
        gradable=len(graded),
    )


def decide_patient(
    images: Mapping[Eye, Sequence[ImageDecision]],
    *,
    expected: Collection[Eye] = BOTH_EYES,
    retakes: int | None = None,
) -> PatientDecision:
    """Return the answer of a visit.

    Args:
        images: The pictures of each eye.
        expected: Eyes that had to be photographed; the others are judged when they have pictures. An existing
            collection of unknown laterality passes ``()``: judge the eyes that were photographed.
        retakes: Pictures per eye after which an eye that is still ungradable sends the patient on; None for never.

    Raises:
        ValueError: no eye was expected and none was photographed.
    """
    eyes = tuple(decide_eye(eye, images.get(eye, ())) for eye in Eye if eye in expected or images.get(eye))
    if not eyes:
        raise ValueError("a visit needs an expected eye or a picture")
    referred = [f"referable_finding:{e.eye}" for e in eyes if e.verdict is Verdict.REFER]
    exhausted = [f"ungradable_after_retakes:{e.eye}" for e in eyes if _exhausted(e, retakes)]
    unclear = [f"{e.verdict.lower()}:{e.eye}" for e in eyes if e.verdict in (Verdict.UNGRADABLE, Verdict.MISSING)]
    verdict = Verdict.REFER if referred or exhausted else Verdict.UNGRADABLE if unclear else Verdict.NO_REFERRAL
    scores = [e.score for e in eyes if e.score is not None]
    return PatientDecision(
        verdict=verdict,
        eyes=eyes,
        score=max(scores, default=None),
        reasons=(*referred, *exhausted, *unclear),
    )


def _exhausted(eye: EyeDecision, retakes: int | None) -> bool:
    return retakes is not None and eye.verdict is Verdict.UNGRADABLE and eye.pictures >= retakes
