"""Sites of a cohort: who photographs how many patients, with what, and which diseases come to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_simulations.cohorts.fundus import CameraStyle, camera_style
from eyebright_simulations.cohorts.oct import ScannerStyle, scanner_style

OPERATOR = "operator"
OPERATOR_PATIENTS = 800
# The operator's share stands for a public reference collection: many devices, none of them a hospital's.
_OPERATOR_DEVICES = 12
_OPERATOR_FIRST_DEVICE = 1000
_HOSPITAL_PATIENTS = (180, 165, 195)
# How often the favoured class of a hospital comes, against one for each other class: skewed, never missing.
_FAVOUR = 2.6


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSpec:
    """One site of a cohort.

    Attributes:
        name: As it stands in the manifest's ``site`` column.
        style: Its camera (fundus) or scanner (OCT).
        patients: How many patients it sees; each gives two pictures.
        label_mix: Weight of each class among its patients, not necessarily summing to one.
        more_styles: Further devices; patients are photographed with each in turn.
    """

    name: str
    style: CameraStyle | ScannerStyle
    patients: int
    label_mix: Mapping[str, float]
    more_styles: tuple[CameraStyle | ScannerStyle, ...] = ()

    @property
    def styles(self) -> tuple[CameraStyle | ScannerStyle, ...]:
        """All devices of the site."""
        return (self.style, *self.more_styles)

    def __post_init__(self) -> None:
        if self.patients < 1:
            raise InputError(f"site {self.name!r} needs at least one patient", value=self.patients)
        if not self.label_mix or min(self.label_mix.values()) < 0 or sum(self.label_mix.values()) <= 0:
            raise InputError(f"site {self.name!r} has no usable label mix", value=dict(self.label_mix))


def default_sites(hospitals: int = 3, *, task_name: str = "fundus") -> Sequence[SiteSpec]:
    """Return the operator's site and ``hospitals`` hospitals, each with its own device and its own skewed mix.

    Raises:
        InputError: fewer than one hospital, or an unknown task.
    """
    if hospitals < 1:
        raise InputError("a cohort needs at least one hospital", value=hospitals, fix="Ask for 1 or more.")
    classes = get_task(task_name).classes
    style = camera_style if get_task(task_name).modality == "CFP" else scanner_style
    even = dict.fromkeys(classes, 1.0)
    operator = SiteSpec(
        name=OPERATOR,
        style=style(0),
        patients=OPERATOR_PATIENTS,
        label_mix=even,
        more_styles=tuple(style(_OPERATOR_FIRST_DEVICE + index) for index in range(_OPERATOR_DEVICES - 1)),
    )
    return (
        operator,
        *(
            SiteSpec(
                name=f"hospital-{index + 1}",
                style=style(index + 1),
                patients=_HOSPITAL_PATIENTS[index % len(_HOSPITAL_PATIENTS)],
                label_mix=even | {classes[index % len(classes)]: _FAVOUR},
            )
            for index in range(hospitals)
        ),
    )
