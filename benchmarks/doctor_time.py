"""What the doctor costs a hospital with ten thousand photographs: minutes, memory, and what a kill half-way costs.

Photographs of 2 megapixels are drawn, each with vessels of its own, and written as JPEG with a manifest. Then, each as
a process of its own with two workers:

* the floor: every file read and decoded once, by the doctor's own decoder;
* `eyebright client doctor --workers 2`;
* the same in a fresh folder, killed with its workers when half of the pictures are done, and started again; it must
  find what the undisturbed one found.

Memory is the sum over a process and its workers of what each holds, pages that several share divided among them (PSS),
looked at every half second. The timed training step is left out (`--no-capacity`): it costs the same for ten pictures.

Run: ``python benchmarks/doctor_time.py [--images N] [--json]``; ten thousand need 5 GB of disk and most of an hour.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from claim import Claim, show

IMAGES = 10_000
WORKERS = 2
WIDTH, HEIGHT = 1632, 1224
LABELS = ("normal", "diabetic_retinopathy", "glaucoma", "cataract")
LIMIT_MINUTES = 30.0
LIMIT_MEMORY_MB = 1500.0
LIMIT_RESUME_RATIO = 0.6
_BATCH = 16
_LOOK_S = 0.5

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process and its workers took."""

    seconds: float
    peak_mb: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES, help="how many photographs")
    parser.add_argument("--json", action="store_true", help="print for machines")
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.decode is not None:
        decode_all(arguments.decode)
        return
    if arguments.images < 3 * _BATCH:
        parser.error(f"--images must be at least {3 * _BATCH}, or nothing is left to do after a kill half-way")
    with tempfile.TemporaryDirectory() as place:
        claims = measured(Path(place), arguments.images)
    show(claims, as_json=arguments.json)


def measured(folder: Path, images: int) -> list[Claim]:
    """Draw the photographs and return what was found out."""
    manifest = drawn(folder / "data", images)
    floor = cost_of([sys.executable, __file__, "--decode", str(manifest)])
    whole = cost_of(doctor(manifest, folder / "whole"), allowed=(0, 1))
    done = killed_half_way(doctor(manifest, folder / "cut"), folder / "cut", images)
    resumed = cost_of(doctor(manifest, folder / "cut"), allowed=(0, 1))
    reports = [json.loads((folder / name / "preflight.json").read_text()) for name in ("whole", "cut")]
    assert reports[0] == reports[1], "a resumed run must find what an undisturbed one finds"
    assert reports[0]["rows_and_files"] == images
    minutes, floor_minutes = (cost.seconds / 60 * IMAGES / images for cost in (whole, floor))
    rate, floor_rate = images / whole.seconds, images / floor.seconds
    decoding = f"reading and decoding the same files once, {WORKERS} processes"
    return [
        Claim(
            name="doctor_time",
            what=f"{IMAGES} photographs on {WORKERS} processes ({images} measured, {rate:.1f} a second; "
            f"decoding alone {floor_rate:.1f})",
            value=minutes,
            unit="min",
            baseline_name=decoding,
            baseline_value=floor_minutes,
            target=LIMIT_MINUTES,
            target_on="value",
            runs=1,
        ),
        Claim(
            name="doctor_time.memory",
            what="peak memory, workers included",
            value=whole.peak_mb,
            unit="MB",
            baseline_name=decoding,
            baseline_value=floor.peak_mb,
            target=LIMIT_MEMORY_MB,
            target_on="value",
            runs=1,
        ),
        Claim(
            name="doctor_time.resume",
            what=f"going on after a kill with {done} of {images} done",
            value=resumed.seconds,
            unit="s",
            baseline_name="the whole run, undisturbed",
            baseline_value=whole.seconds,
            target=LIMIT_RESUME_RATIO,
            target_on="ratio",
            runs=1,
        ),
    ]


def doctor(manifest: Path, out: Path) -> list[str]:
    """Return the command that a person at a hospital types."""
    words = ["client", "doctor", str(manifest), "--out", str(out), "--workers", str(WORKERS), "--no-capacity"]
    return [sys.executable, "-m", "eyebright_common", *words]


def cost_of(command: list[str], *, allowed: tuple[int, ...] = (0,)) -> Cost:
    """Run a command to its end and return what it took."""
    started, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_S)
            if process.returncode is not None:
                break
            peak = max(peak, memory_mb(process.pid))
    assert process.returncode in allowed, f"it ended with {process.returncode}"
    return Cost(seconds=time.perf_counter() - started, peak_mb=peak)


def killed_half_way(command: list[str], out: Path, images: int) -> int:
    """Start a command, kill it and its workers when half of the pictures are done; return how many were."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as run:
        while kept(out) < images // 2:
            assert run.poll() is None, "it ended before it was killed"
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
    done = kept(out)
    assert done < images, "nothing was left to do"
    return done


def kept(out: Path) -> int:
    """Return how many results are on disk."""
    with suppress(sqlite3.OperationalError):  # not made yet
        connection = sqlite3.connect(f"file:{out / 'preflight.results'}?mode=ro", uri=True)
        try:
            (count,) = connection.execute("SELECT COUNT(*) FROM results").fetchone()
            return int(count)
        finally:
            connection.close()
    return 0


def memory_mb(pid: int) -> float:
    """Return what a process and its descendants hold, MB."""
    total, todo = 0, [pid]
    while todo:
        one = todo.pop()
        with suppress(OSError):  # it has just ended
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                todo += map(int, children.read_text().split())
    return total * 1024 / 1e6


def decode_all(manifest: Path) -> None:
    """Read and decode every picture of a manifest once, as the doctor does, and do nothing else."""
    from eyebright_common.manifest.pooling import pooled

    with manifest.open() as file:
        paths = [manifest.parent / row["image_path"] for row in csv.DictReader(file)]
    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    assert sum(pooled(decode_batch, batches, WORKERS)) == len(paths)


def decode_batch(paths: list[Path]) -> int:
    """Decode a few pictures; what a worker process does."""
    from eyebright_common.imaging import read_picture

    return sum(read_picture(path.read_bytes(), name=path.name).ndim == 3 for path in paths)


def drawn(folder: Path, images: int) -> Path:
    """Write photographs, two of each patient, and return their manifest."""
    from eyebright_common.manifest.pooling import pooled

    for sub in range(images // 500 + 1):
        (folder / str(sub)).mkdir(parents=True)
    numbers = range(images)
    batches = [numbers[start : start + _BATCH] for start in range(0, images, _BATCH)]
    names = [name for batch in pooled(partial(draw_batch, folder), batches, WORKERS) for name in batch]
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_path", "modality", "label", "patient_id", "eye"])
        for number, name in enumerate(names):
            patient = number // 2
            writer.writerow([name, "CFP", LABELS[patient % len(LABELS)], f"patient-{patient}", "LR"[number % 2]])
    return folder / "manifest.csv"


def draw_batch(folder: Path, numbers: range) -> list[str]:
    """Draw a few photographs and return their names; what a worker process does."""
    names = [f"{number // 500}/{number}.jpg" for number in numbers]
    for number, name in zip(numbers, names, strict=True):
        frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        left = (WIDTH - HEIGHT) // 2
        frame[:, left : left + HEIGHT] = photograph(number)
        assert cv2.imwrite(str(folder / name), frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return names


def photograph(number: int) -> Pixels:
    """Return an eye with its own vessels, disc and colour, RGB uint8 ``[HEIGHT, HEIGHT, 3]``."""
    random, side = np.random.default_rng(number), HEIGHT
    image = np.full((side, side, 3), random.uniform(0.9, 1.1) * np.array((176, 92, 46)), np.float32)
    disc = (side * np.array([0.5 + random.choice([-1, 1]) * 0.2, 0.5 + random.uniform(-0.08, 0.08)])).astype(np.float32)
    for branch in range(16):
        angle, points = random.uniform(0, 2 * np.pi), [disc]
        for _ in range(24):
            angle += random.normal(0, 0.2)
            points.append(points[-1] + 0.03 * side * np.array([np.cos(angle), np.sin(angle)], np.float32))
        thickness = max(2, round(side / (80 + 12 * branch)))
        cv2.polylines(image, [np.round(points).astype(np.int32)], False, (118, 42, 24), thickness, cv2.LINE_AA)
    cv2.circle(image, tuple(int(v) for v in disc), round(0.07 * side), (236, 190, 130), -1, cv2.LINE_AA)
    grain = random.normal(0, 4, (side, side)).astype(np.float32)
    y, x = np.ogrid[0:side, 0:side]
    image += grain[:, :, None]
    image[(x - side / 2) ** 2 + (y - side / 2) ** 2 > (0.47 * side) ** 2] = 0
    return np.clip(image, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
