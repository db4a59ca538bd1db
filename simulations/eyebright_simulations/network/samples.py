"""Which screened pictures the report shows: right and wrong answers of every class, and the ungradable.

Chosen by rule from the unit's own answers, not for looking good: of each class the first patient answered rightly and
the first answered wrongly, then ungradable ones. Patients appear as running numbers.
"""

from __future__ import annotations

from pathlib import Path

import cv2

from eyebright_common.errors import ImageError
from eyebright_common.imaging import prepare, read_picture
from eyebright_common.release import Eye, Verdict
from eyebright_common.tasks import ScreeningTask
from eyebright_edge.screening import overlay_attention, screen_picture
from eyebright_edge.screening.session import ChosenRelease, chosen_release
from eyebright_simulations.network.context import Context
from eyebright_simulations.network.unit import unit_home
from eyebright_simulations.network.workspace import Facts
from eyebright_simulations.report import SampleVerdict

_UNGRADABLE_SHOWN = 2
_SIDE = 256


def sample_verdicts(context: Context, task: ScreeningTask) -> list[SampleVerdict]:
    """Screen the chosen pictures again, this time keeping what the unit saw."""
    chosen = chosen_release(home=unit_home(context.out), folder=None)
    names = [hospital["name"] for hospital in context.facts["cohort"]["hospitals"]]
    samples = []
    for row in _rows(context.facts["unit"]["pictures"], task):
        sample = _sample(chosen, task, row, names[row["holder"]])
        if sample is not None:
            samples.append(sample)
    return samples


def _rows(pictures: list[Facts], task: ScreeningTask) -> list[Facts]:
    rows: list[Facts] = []
    for label, referable in enumerate(task.referable_mask):
        right = Verdict.REFER if referable else Verdict.NO_REFERRAL
        graded = [p for p in pictures if p["label"] == label and p["verdict"] in (Verdict.REFER, Verdict.NO_REFERRAL)]
        rows += [p for p in graded if p["verdict"] == right][:1]
        rows += [p for p in graded if p["verdict"] != right][:1]
    return rows + [p for p in pictures if p["verdict"] == Verdict.UNGRADABLE][:_UNGRADABLE_SHOWN]


def _sample(chosen: ChosenRelease, task: ScreeningTask, row: Facts, site: str) -> SampleVerdict | None:
    path, eye = Path(row["path"]), Eye(row["eye"])
    try:
        screened = screen_picture(chosen.runtime, chosen.release, path, eye=eye)
        picture = prepare(read_picture(path, image_size=_SIDE), modality=task.modality, size=_SIDE)
    except ImageError:
        return None  # it was screened a minute ago; if somebody removed the file since, the report goes without
    attention = None if screened.attention is None else cv2.resize(screened.attention, (_SIDE, _SIDE))
    return SampleVerdict(
        picture=picture,
        overlay=None if attention is None else overlay_attention(picture, attention.clip(0.0, 1.0)),
        patient=f"patient {row['patient']}",
        eye=eye,
        truth=task.classes[row["label"]],
        probabilities=screened.probabilities,
        score=screened.decision.score,
        verdict=screened.verdict,
        quality=screened.quality.verdict if screened.quality else "unreadable",
        reasons=screened.decision.reasons,
        site=site,
    )
