"""``torchrun … -m eyebright_server.teacher COMMAND …``: ``eyebright server teacher`` in a form torchrun can start."""

import sys

from eyebright_common.cli import main

if __name__ == "__main__":
    main(["server", "teacher", *sys.argv[1:]])
