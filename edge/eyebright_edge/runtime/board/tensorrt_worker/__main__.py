"""``python -m tensorrt_worker``, started by the unit in the board's Python."""

from .service import main

main()
