"""``python -m eyebright_simulations.federation_demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eyebright_common.errors import EyebrightError


def main(
    out: Annotated[Path, typer.Option(help="Folder for homes, keys and logs; emptied first.")] = Path(
        "runs/federation"
    ),
    hospitals: Annotated[int, typer.Option(min=2, max=26)] = 3,
    rounds: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Run the federation on this machine: nginx, SuperLink and hospitals as separate processes, over TLS."""
    from eyebright_simulations.federation_demo.demo import demonstrate

    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        demonstrate(out.resolve(), hospitals=hospitals, rounds=rounds, console=console)
    except EyebrightError as error:
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"error: {error}")
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
