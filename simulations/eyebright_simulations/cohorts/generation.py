"""Writing a cohort: draw every eye, encode it, and list it in a manifest.

* The cohort is written beside its place and renamed when whole, so that a half-written one is never taken for it.
* Eyes are independent, each with its own random generator: the bytes do not depend on the number of workers.
* Workers are processes: drawing is many small steps, and threads would wait for the interpreter half of the time.
* ``quality`` tells what the drawing knows: ``reject`` for a spoilt picture, ``good`` for any other.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2

from eyebright_common.durable import move_into_place, write_bytes
from eyebright_common.errors import InputError, OutputInUse
from eyebright_common.manifest.pooling import pooled
from eyebright_common.tasks import get_task
from eyebright_simulations.cohorts.canvas import Bytes
from eyebright_simulations.cohorts.case import EyeCase
from eyebright_simulations.cohorts.fundus import CameraStyle, draw_fundus
from eyebright_simulations.cohorts.oct import ScannerStyle, draw_oct
from eyebright_simulations.cohorts.patients import draw_patients
from eyebright_simulations.cohorts.sites import SiteSpec, default_sites

COLUMNS = ("image_path", "modality", "label", "patient_id", "eye", "site", "camera", "age_band", "sex", "quality")
MANIFEST = "manifest.csv"
_SMALLEST_PICTURE = 64
_BATCH = 8  # pictures that a process draws before it says so


def generate(
    task_name: str,
    out: Path,
    *,
    seed: int,
    hospitals: int = 3,
    sites: Sequence[SiteSpec] | None = None,
    image_size: int = 256,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw a cohort into the new folder ``out`` and return the path of its manifest.

    Args:
        task_name: ``fundus`` or ``oct``.
        out: Folder to make; it appears only when the cohort is whole.
        seed: Everything follows from it.
        hospitals: How many hospitals the default sites have; without meaning when ``sites`` is given.
        sites: Who sees how many patients with what; default ``default_sites(hospitals)``.
        image_size: Nominal height of a picture in pixels; a site's style scales it.
        workers: Processes; 1 (or few pictures) stays in this process.
        on_progress: Called with (pictures done, pictures in all), every few pictures.

    Raises:
        InputError: no such task, a site that cannot be drawn, or a picture size too small to show anything.
        OutputInUse: ``out`` holds something already.
    """
    chosen = default_sites(hospitals, task_name=task_name) if sites is None else sites
    _check(task_name, chosen, image_size)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputInUse("a cohort cannot be drawn into a folder in use", value=out, fix="Choose a new folder.")
    draft = out.with_name(f".{out.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    healthy = get_task(task_name).classes[0]
    work = [(case, site) for site in chosen for case in draw_patients(site, healthy=healthy, seed=seed)]
    for site in chosen:
        (draft / "images" / site.name).mkdir(parents=True)
    _write_pictures(draft, work, image_size=image_size, workers=workers, on_progress=on_progress)
    write_bytes(draft / MANIFEST, _manifest(work, get_task(task_name).modality))
    # One flush for thousands of small files; a flush each would take longer than drawing them.
    os.sync()
    move_into_place(draft, out)
    return out / MANIFEST


def _check(task_name: str, sites: Sequence[SiteSpec], image_size: int) -> None:
    task = get_task(task_name)
    style = CameraStyle if task.modality == "CFP" else ScannerStyle
    if image_size < _SMALLEST_PICTURE:
        raise InputError("pictures this small show nothing", value=image_size, fix=f"Use {_SMALLEST_PICTURE} or more.")
    if len({site.name for site in sites}) != len(sites) or not sites:
        raise InputError("a cohort needs sites, each with a name of its own", value=[site.name for site in sites])
    for site in sites:
        if strangers := [device.name for device in site.styles if not isinstance(device, style)]:
            raise InputError(f"site {site.name!r} has a device that is not for {task.modality}", value=strangers[0])
        if unknown := set(site.label_mix) - set(task.classes):
            raise InputError(f"site {site.name!r} has classes that {task_name} does not know", value=sorted(unknown))


def _relative(case: EyeCase) -> str:
    return f"images/{case.site}/{case.patient_id}_{case.eye}.jpg"


def draw_picture(case: EyeCase, site: SiteSpec, *, image_size: int = 256) -> Bytes:
    """Return the picture of ``case`` that its site's device takes, RGB ``[H, W, 3]``."""
    device = _device(case, site)
    if isinstance(device, CameraStyle):
        return draw_fundus(case, device, size=image_size)
    return draw_oct(case, device, size=image_size)


def _device(case: EyeCase, site: SiteSpec) -> CameraStyle | ScannerStyle:
    return site.styles[case.device % len(site.styles)]


def _write_pictures(
    folder: Path,
    work: Sequence[tuple[EyeCase, SiteSpec]],
    *,
    image_size: int,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    draw = partial(_write_batch, folder=folder, image_size=image_size)
    batches = [work[start : start + _BATCH] for start in range(0, len(work), _BATCH)]
    written = map(draw, batches) if workers < 2 or len(batches) < 2 * workers else pooled(draw, batches, workers)
    done = 0
    for count in written:
        done += count
        if on_progress is not None:
            on_progress(done, len(work))


def _write_batch(work: Sequence[tuple[EyeCase, SiteSpec]], *, folder: Path, image_size: int) -> int:
    for case, site in work:
        _write_picture(folder, case, site, image_size)
    return len(work)


def _write_picture(folder: Path, case: EyeCase, site: SiteSpec, image_size: int) -> None:
    picture = cv2.cvtColor(draw_picture(case, site, image_size=image_size), cv2.COLOR_RGB2BGR)
    encoded, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _device(case, site).jpeg_quality])
    assert encoded
    (folder / _relative(case)).write_bytes(content.tobytes())


def _manifest(work: Sequence[tuple[EyeCase, SiteSpec]], modality: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case, site in work:
        quality = "reject" if case.fault else "good"
        writer.writerow(
            (
                *(_relative(case), modality, case.label, case.patient_id, case.eye, case.site),
                *(_device(case, site).name, case.age_band, case.sex, quality),
            )
        )
    return text.getvalue().encode()
