"""How the machine is: disk, memory, temperature, network. What it does not tell is None, never a guess."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

LOW_DISK_BYTES = 2 * 1024**3
HOT_CELSIUS = 85.0
_THERMAL = Path("/sys/class/thermal")
_NETWORK = Path("/sys/class/net")
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the machine is.

    Attributes:
        disk_free_bytes: Free where the unit's home lies.
        disk_bytes: Size of that disk.
        memory_free_bytes: Memory that programs could have.
        celsius: The hottest of its sensors.
        network: Whether a network interface beyond loopback is up; says nothing of the operator's server.
    """

    disk_free_bytes: int | None
    disk_bytes: int | None
    memory_free_bytes: int | None
    celsius: float | None
    network: bool | None

    @property
    def disk_low(self) -> bool:
        """Whether pictures will soon have no room."""
        return self.disk_free_bytes is not None and self.disk_free_bytes < LOW_DISK_BYTES

    @property
    def hot(self) -> bool:
        """Whether the machine is about to slow itself down."""
        return self.celsius is not None and self.celsius >= HOT_CELSIUS


def health_of(home: Path, *, thermal: Path = _THERMAL, network: Path = _NETWORK, memory: Path = _MEMORY) -> Health:
    """Return how the machine with the unit's ``home`` is; the other folders are the kernel's."""
    free, total = _disk(home)
    return Health(
        disk_free_bytes=free,
        disk_bytes=total,
        memory_free_bytes=_available_memory(memory),
        celsius=_hottest(thermal),
        network=_interface_up(network),
    )


def _disk(home: Path) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(home)
    except OSError:
        return None, None
    return usage.free, usage.total


def _hottest(thermal: Path) -> float | None:
    found = []
    for zone in thermal.glob("thermal_zone*/temp"):
        try:
            celsius = int(zone.read_text()) / 1000
        except (OSError, ValueError):
            continue
        # A sensor that is switched off reads 0 or far below.
        if 0 < celsius < 150:
            found.append(celsius)
    return max(found, default=None)


def _available_memory(memory: Path) -> int | None:
    try:
        lines = memory.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _interface_up(network: Path) -> bool | None:
    try:
        states = {one.name: (one / "operstate").read_text().strip() for one in network.iterdir() if one.is_dir()}
    except OSError:
        return None
    return any(state == "up" for name, state in states.items() if name != "lo")
