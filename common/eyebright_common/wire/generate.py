"""Make the message code from ``distribution.proto``: ``python -m eyebright_common.wire.generate``.

* Needs ``grpcio-tools`` (development group); the result is committed, so nobody else needs it.
* Only messages are generated. The service is a table of methods in ``methods.py``: it is typed, and it does not tie
  the runtime to the version of the generator as generated stubs do.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from eyebright_common.errors import EyebrightError

ROOM = Path(__file__).resolve().parent
GENERATED = ("distribution_pb2.py", "distribution_pb2.pyi")


def generate(out: Path) -> None:
    """Write the generated files under ``out``, in the folders their imports expect.

    Raises:
        EyebrightError: the generator is not installed or refuses the source.
    """
    try:
        protoc = import_module("grpc_tools.protoc")
    except ModuleNotFoundError as error:
        raise EyebrightError(
            "the protobuf generator is not installed", value="grpcio-tools", fix="Install the development group."
        ) from error
    source_root = ROOM.parents[1]
    source = ROOM / "distribution.proto"
    status = protoc.main(["protoc", f"-I{source_root}", f"--python_out={out}", f"--pyi_out={out}", str(source)])
    if status != 0:
        raise EyebrightError("the protobuf generator refused the source", value=source, fix="Read its message above.")


if __name__ == "__main__":
    try:
        generate(ROOM.parents[1])
    except EyebrightError as error:
        sys.exit(str(error))
