"""The quality verdict on a picture or on every picture of a folder, one line each; a volume has one for each frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eyebright_common.errors import ImageError, InputError
from eyebright_common.imaging import IMAGE_SUFFIXES, Quality, assess_quality, read_frames

UNREADABLE = "unreadable"


def pictures_at(path: Path) -> tuple[list[Path], int]:
    """Return the pictures that ``path`` names, sorted, and how many other files lie beside them.

    Raises:
        InputError: nothing is there, or a folder without a single picture.
    """
    if not path.exists():
        raise InputError("there is no such file or folder", value=path, fix="Check the path.")
    if not path.is_dir():
        return [path], 0
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    pictures = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise InputError("the folder holds no pictures", value=path, fix=f"Pictures end in {endings}.")
    return pictures, len(files) - len(pictures)


def quality_lines(pictures: Iterable[Path], *, modality: str) -> Iterator[dict[str, Any]]:
    """Yield the verdict on each frame of each picture, as JSON; what cannot be read has the verdict ``unreadable``."""
    for file in pictures:
        try:
            for frame, image in enumerate(read_frames(file), start=1):
                yield {"file": str(file), "frame": frame, **_facts(assess_quality(image, modality=modality))}
        except ImageError as error:
            facts: dict[str, Any] = {"verdict": UNREADABLE, "score": None, "reasons": [error.reason], "features": {}}
            yield {"file": str(file), "frame": 1, **facts, "fix": error.fix}


def _facts(quality: Quality) -> dict[str, Any]:
    return {
        "verdict": quality.verdict,
        "score": quality.score,
        "reasons": list(quality.reasons),
        "features": {name: round(float(value), 4) for name, value in quality.features.items()},
        "fix": "",
    }


def quality_line(facts: dict[str, Any]) -> str:
    """Return one picture's verdict as one line of text."""
    score = "  - " if facts["score"] is None else f"{facts['score']:.2f}"
    reasons = ",".join(facts["reasons"]) or "-"
    features = " ".join(f"{name}={value:.3g}" for name, value in facts["features"].items())
    file = facts["file"] if facts["frame"] == 1 else f"{facts['file']} frame {facts['frame']}"
    return f"{file}  {facts['verdict']:<10} {score}  {reasons}  {features or facts['fix']}".rstrip()


def count_verdicts(lines: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return how many pictures got each verdict; unreadable ones are counted by reason, ``unreadable:truncated``."""
    words = Counter(
        f"{UNREADABLE}:{line['reasons'][0]}" if line["verdict"] == UNREADABLE else line["verdict"] for line in lines
    )
    return dict(sorted(words.items()))
