"""`python -m eyebright_common …` is `eyebright …`, for where the command is not on the path."""

from eyebright_common.cli import main

main()
