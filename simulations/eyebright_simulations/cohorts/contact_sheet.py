"""The contact sheets of the documentation: every class, mild to severe, and every site's style, on one page.

``python -m eyebright_simulations.cohorts.contact_sheet`` draws them anew into ``docs/images``.

A row is one class: four pictures of the operator from mild to severe, then one of each hospital. The last row shows
what goes wrong. The pictures are those of the default cohort, so what is seen is what is trained on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from eyebright_common.durable import write_bytes
from eyebright_common.tasks import get_task
from eyebright_simulations.cohorts.canvas import Bytes
from eyebright_simulations.cohorts.case import FAULTS, EyeCase
from eyebright_simulations.cohorts.generation import draw_picture
from eyebright_simulations.cohorts.patients import draw_patients
from eyebright_simulations.cohorts.sites import SiteSpec, default_sites

_TILE = 192
_CAPTION = 132
_PER_OPERATOR = 4
_JPEG_QUALITY = {"fundus": 82, "oct": 52}
_SEED = 7
# Grey level up to which a column of a picture counts as surround.
_DARK = 24

_Chosen = list[tuple[EyeCase, SiteSpec]]


def contact_sheet(task_name: str, *, seed: int = _SEED) -> Bytes:
    """Return the contact sheet of a task, RGB ``[H, W, 3]``."""
    sites = default_sites(task_name=task_name)
    classes = get_task(task_name).classes
    cases = {site.name: draw_patients(site, healthy=classes[0], seed=seed) for site in sites}
    rows = [_row(label.replace("_", " "), _examples(label, sites, cases)) for label in classes]
    return cast(Bytes, np.vstack([_heading(sites), *rows, _row("ungradable", _spoilt(sites, cases))]))


def _heading(sites: Sequence[SiteSpec]) -> Bytes:
    """Return the line above the columns: which site they come from and what it photographs with."""
    columns = _PER_OPERATOR + 2 * (len(sites) - 1)
    line = np.full((30, _CAPTION + columns * _TILE, 3), 255, np.uint8)
    for index, site in enumerate(sites):
        at = _CAPTION + _TILE * (0 if index == 0 else _PER_OPERATOR + 2 * (index - 1))
        severity = ", mild to severe" if index == 0 else ""
        _write(line, f"{site.name} ({site.style.name}){severity}", (at + 4, 20))
    return line


def _write(picture: Bytes, text: str, at: tuple[int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)


def _examples(label: str, sites: Sequence[SiteSpec], cases: dict[str, list[EyeCase]]) -> _Chosen:
    """Choose the operator's pictures by rising severity, then two of middling severity from each hospital."""
    chosen: _Chosen = []
    for site in sites:
        good = [case for case in cases[site.name] if case.label == label and not case.fault]
        good.sort(key=lambda case: case.severity)
        shares = np.linspace(0.05, 0.95, _PER_OPERATOR) if site is sites[0] else (0.4, 0.75)
        chosen += [(good[int(share * (len(good) - 1))], site) for share in shares]
    return chosen


def _spoilt(sites: Sequence[SiteSpec], cases: dict[str, list[EyeCase]]) -> _Chosen:
    chosen: _Chosen = []
    for index in range(_PER_OPERATOR + 2 * (len(sites) - 1)):
        fault = FAULTS[index % len(FAULTS)]
        site = sites[0] if index < _PER_OPERATOR else sites[1 + (index - _PER_OPERATOR) // 2]
        chosen.append((next(case for case in cases[site.name] if case.fault == fault), site))
    return chosen


def _row(caption: str, chosen: _Chosen) -> Bytes:
    head = np.full((_TILE, _CAPTION, 3), 255, np.uint8)
    for line, word in enumerate(caption.split()):
        _write(head, word, (8, _TILE // 2 + 18 * line))
    return cast(Bytes, np.hstack([head, *(_tile(draw_picture(case, site)) for case, site in chosen)]))


def _tile(picture: Bytes) -> Bytes:
    """Return a picture fitted into a square tile on black; of a wide black surround only the middle is kept."""
    height, width = picture.shape[:2]
    margin = (width - height) // 2
    if margin > 0 and picture[:, : margin // 2].max() <= _DARK:
        picture, width = picture[:, margin : margin + height], height
    scale = (_TILE - 4) / max(height, width)
    size = (round(width * scale), round(height * scale))
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    left, top = (_TILE - size[0]) // 2, (_TILE - size[1]) // 2
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return tile


def write_contact_sheets(folder: Path) -> list[Path]:
    """Draw both contact sheets into ``folder`` and return their paths."""
    paths = []
    for task_name in ("fundus", "oct"):
        sheet = cv2.cvtColor(contact_sheet(task_name), cv2.COLOR_RGB2BGR)
        content = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY[task_name]])[1]
        paths.append(folder / f"cohort_{task_name}.jpg")
        write_bytes(paths[-1], content.tobytes())
    return paths


if __name__ == "__main__":
    for path in write_contact_sheets(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")):
        sys.stdout.write(f"{path}  {path.stat().st_size / 1000:.0f} kB\n")
