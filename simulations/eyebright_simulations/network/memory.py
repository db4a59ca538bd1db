"""The largest resident memory of the run, this process and the processes it waited for."""

from __future__ import annotations

import resource


def peak_bytes() -> int:
    """Return the peak resident size of this process or of its largest finished child, whichever is larger, bytes."""
    kibibytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return int(kibibytes) * 1024
