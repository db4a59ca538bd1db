"""The command line, run in the test's own process."""

import pytest

from eyebright_common.cli import main


def exit_code(*arguments: object) -> int:
    """Run ``eyebright`` with these words and return its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in arguments])
    return int(stopped.value.code or 0)


def run_command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run ``eyebright`` with these words and return its exit code and what it printed, on both streams."""
    code = exit_code(*arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err
