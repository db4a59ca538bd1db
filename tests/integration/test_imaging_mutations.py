"""Damaged picture files: each gets a clear verdict or a documented reason; none crashes, hangs or fills the memory.

The files are damaged from seeds (``picture_mutations``) and screened in a child process: a decoder's crash ends that.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import picture_mutations
from eyebright_common.imaging.refusals import FIXES
from picture_mutations import bases, mutated
from tiny_release import write_tiny_release

FAST, ALL, PIECE = 450, 10_000, 2_500
# A picture of too many pixels is refused before it is decoded; the largest that is not has 192 MB and a copy or two.
MOST_MEMORY_MB = 1_000
ANSWERS = {"REFER", "NO REFERRAL", "UNGRADABLE"}


def _screened(release: Path, first: int, count: int) -> dict[str, int]:
    command = [sys.executable, picture_mutations.__file__, str(release), str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the child ended with {done.returncode}: {done.stderr[-2000:]}"
    told = json.loads(done.stdout)
    assert told["unexpected"] == []
    assert told["peak_mb"] < MOST_MEMORY_MB
    assert sum(told["outcomes"].values()) == count
    assert set(told["outcomes"]) <= ANSWERS | set(FIXES)
    return dict(told["outcomes"])


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write_tiny_release(tmp_path / "release")
    return tmp_path / "release"


def test_some_hundred_damaged_files(release: Path) -> None:
    outcomes = _screened(release, 0, FAST)
    # Damage of every kind was really there, and not everything was refused at the door.
    assert {"truncated", "unreadable", "too_large"} <= set(outcomes)
    assert set(outcomes) & ANSWERS


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, ALL, PIECE))
def test_ten_thousand_damaged_files(release: Path, first: int) -> None:
    _screened(release, first, PIECE)


def test_the_sound_files_are_read_and_damage_repeats() -> None:
    from eyebright_common.imaging import decode_image

    assert all(decode_image(data, name=name).shape == (96, 96, 3) for name, data in bases())
    assert mutated(17) == mutated(17)
    assert len({mutated(seed)[1] for seed in range(100)}) > 95
