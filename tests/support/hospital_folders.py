"""Folders of a hospital's pictures for tests of the doctor: small, graded, and damaged in known ways."""

import csv
from pathlib import Path

import numpy as np

from pictures import encoded, eye

HEADER = ("image_path", "modality", "label", "patient_id", "eye", "split", "site", "camera")


def write_rows(folder: Path, rows: list[dict[str, str]], name: str = "manifest.csv") -> Path:
    """Write a manifest of these rows and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=HEADER, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder / name


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a folder's manifest."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save(folder: Path, name: str, pixels: np.ndarray, kind: str = "PNG", **options: object) -> str:
    """Write a picture below ``folder`` and return its name."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encoded(pixels, kind, **options))
    return name


def row(name: str, *, label: str = "normal", patient: str, **more: str) -> dict[str, str]:
    """Return a manifest row of a fundus photograph."""
    return {"image_path": name, "modality": "CFP", "label": label, "patient_id": patient, **more}


def healthy_folder(folder: Path, pictures: int = 12, side: int = 160) -> Path:
    """Write a folder in which nothing is wrong: two eyes per patient, all classes, no copies."""
    labels = ("normal", "diabetic_retinopathy", "glaucoma", "cataract")
    rows = [
        row(
            save(folder, f"p/{number}.png", eye(number, side)),
            label=labels[number // 2 % 4],
            patient=f"patient-{number // 2}",
            eye="LR"[number % 2],
        )
        for number in range(pictures)
    ]
    return write_rows(folder, rows)
