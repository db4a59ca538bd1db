"""The border log holds together, and shows where it does not."""

from pathlib import Path

import pytest

from eyebright_client.audit import Crossing, record, verify
from eyebright_common.errors import TrustError


def crossing(number: int = 1) -> Crossing:
    return Crossing(
        kind="train",
        direction="out",
        round=number,
        size_bytes=10 * number,
        sha256="a" * 64,
        plan="b" * 64,
        outcome="ok",
        at="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        record(tmp_path, crossing(number))
    return tmp_path


def test_an_untouched_log_verifies(site: Path) -> None:
    assert verify(site) == 3


def test_the_last_hash_is_returned_so_that_a_copy_can_be_kept_elsewhere(site: Path) -> None:
    kept = record(site, crossing(4))
    assert kept in (site / "audit.jsonl").read_text().splitlines()[-1]


def test_a_changed_size_is_noticed(site: Path) -> None:
    log = site / "audit.jsonl"
    log.write_text(log.read_text().replace('"size_bytes":20', '"size_bytes":21'))
    with pytest.raises(TrustError, match="line 2"):
        verify(site)


def test_a_removed_line_is_noticed(site: Path) -> None:
    log = site / "audit.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(lines[0] + lines[2])
    with pytest.raises(TrustError, match="line 2"):
        verify(site)


def test_swapped_lines_are_noticed(site: Path) -> None:
    log = site / "audit.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(lines[0] + lines[2] + lines[1])
    with pytest.raises(TrustError, match="line 2"):
        verify(site)


def test_a_line_torn_by_a_power_cut_is_cut_off_and_the_log_goes_on(site: Path) -> None:
    log = site / "audit.jsonl"
    with log.open("ab") as file:
        file.write(b'{"at":"2026-01-01T00:00')
    assert verify(site) == 3
    record(site, crossing(4))
    assert verify(site) == 4


def test_nothing_is_added_to_a_log_whose_end_is_not_ours(site: Path) -> None:
    with (site / "audit.jsonl").open("ab") as file:
        file.write(b"hello\n")
    with pytest.raises(TrustError, match="last line"):
        record(site, crossing(4))
