"""A build that is killed goes on in the next process, to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eyebright_learning.teacher_cache import TeacherCache
from learning_pictures import small_teacher, striped_pictures

pytestmark = [pytest.mark.kill, pytest.mark.slow]

SUPPORT = Path(__file__).parents[1] / "support"

# Ten pictures in batches of four. Calls of the teacher: one for the shape, three for the bases, then three per view.
IN_THE_BASES, IN_THE_FEATURES, IN_THE_LOGITS = 3, 9, 12

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch
from learning_pictures import small_teacher, striped_pictures
from eyebright_learning.teacher_cache import TeacherCache

torch.set_num_threads(1)
calls = 0

def count(module, inputs):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

teacher = small_teacher()
teacher.register_forward_pre_hook(count)
TeacherCache.open_or_build(
    Path(sys.argv[1]), teacher=teacher, images=striped_pictures(10), views=3, feature_views=2, batch_size=4)
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the killed process: the order of additions is part of "the same bytes"
    yield
    torch.set_num_threads(before)


def build(path: Path) -> None:
    TeacherCache.open_or_build(
        path, teacher=small_teacher(), images=striped_pictures(10), views=3, feature_views=2, batch_size=4
    )


@pytest.mark.parametrize(("call", "left_over"), [(IN_THE_BASES, False), (IN_THE_FEATURES, True), (IN_THE_LOGITS, True)])
def test_a_killed_build_ends_with_the_same_bytes(tmp_path: Path, call: int, left_over: bool) -> None:
    path = tmp_path / "killed.cache"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(SUPPORT), str(call)],
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == -signal.SIGKILL
    assert not path.exists()
    partial = path.with_name("killed.cache.partial")
    assert partial.exists() == left_over
    build(path)
    build(tmp_path / "undisturbed.cache")
    assert path.read_bytes() == (tmp_path / "undisturbed.cache").read_bytes()
    assert not partial.exists()
