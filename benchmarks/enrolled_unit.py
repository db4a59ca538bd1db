"""A unit that has enrolled with an operator's repository on this machine, with a MobileNetV2 release to install.

A process of its own makes it: the operator's server and torch must not be in the memory that is measured.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).resolve().parents[1] / "tests" / "support"
TECHNICIAN, PIN = "Technician 1", "471147"


def make_enrolled_unit(folder: Path, release: Path) -> Path:
    """Enrol a unit below ``folder`` whose place for updates is a repository with ``release``; return its home.

    The server that it enrolled with is gone afterwards: the agent reads the repository as from a stick.
    """
    subprocess.run([sys.executable, __file__, str(folder), str(release)], check=True)
    return folder / "unit"


def _make(folder: Path, release: Path) -> None:
    sys.path.insert(0, str(SUPPORT))
    from eyebright_edge.agent.enrolment import enrol_unit
    from eyebright_edge.agent.home import UnitHome
    from eyebright_edge.agent.settings import UnitSettings, write_settings
    from eyebright_edge.kiosk.technicians import Technicians
    from eyebright_server.distribution import OperatorFolder
    from served_network import serve_in_thread

    operator = OperatorFolder.create(folder / "operator")
    operator.repository.publish(release)
    home = UnitHome(folder / "unit")
    with serve_in_thread(operator) as addresses:
        enrol_unit(home, operator.invite("unit-1", addresses=addresses), task="fundus")
    write_settings(home, UnitSettings(task="fundus", places=(str(operator.repository.folder),)))
    Technicians(home.root).set_pin(TECHNICIAN, PIN)
    operator.close()


if __name__ == "__main__":
    _make(Path(sys.argv[1]), Path(sys.argv[2]))
