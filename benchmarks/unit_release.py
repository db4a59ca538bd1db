"""A MobileNetV2 release and two eyes to measure a unit with; made here, so that no claim leans on a data set.

The weights are random: what a picture costs does not depend on what the network thinks of it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).resolve().parents[1] / "tests" / "support"
IMAGE_SIZE = 224
PICTURE_SIDE = 2048


def make_unit_release(folder: Path) -> tuple[Path, Path]:
    """Write a release and a picture below ``folder`` and return both paths.

    A process of its own does it: torch, which exports the network, must not be in the memory that is measured.
    """
    subprocess.run([sys.executable, __file__, str(folder)], check=True)
    return folder / "release", folder / "right.jpg"


def _make(folder: Path) -> None:
    sys.path.insert(0, str(SUPPORT))
    from eyebright_learning.models import build_student
    from eyebright_server.release.export import export_student
    from retina_pictures import retina, save_picture
    from tiny_release import write_tiny_release

    model = export_student(build_student("mobilenet_v2", classes=4, seed=0).eval(), image_size=IMAGE_SIZE).data
    write_tiny_release(folder / "release", image_size=IMAGE_SIZE, model=model)
    save_picture(folder / "right.jpg", retina(PICTURE_SIDE))


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
