"""What every way of reaching hospitals must do. A test class per grid inherits it and gives ``told``."""

from __future__ import annotations

from typing import Any


class DriverContract:
    """Over four hospitals: two take part, number 2 has not agreed, the pictures of number 3 are damaged."""

    def test_who_can_takes_part_and_the_others_are_named(self, told: dict[str, Any]) -> None:
        for record in told["straight"]["rounds"]:
            assert record["accepted"] == [0, 1]
            assert record["refused"] == [2]
            assert record["quarantined"] == [[3, "site_unusable"]]

    def test_a_run_in_two_halves_ends_with_the_weights_of_one_in_one_piece(self, told: dict[str, Any]) -> None:
        assert told["first half"]["ended"] == "round_budget"
        assert told["both halves"]["resumed_after"] == 1
        assert told["both halves"]["weights"] == told["straight"]["weights"]

    def test_bytes_are_counted_alike_in_every_round(self, told: dict[str, Any]) -> None:
        (first_up, _), (second_up, _) = (record["bytes"] for record in told["straight"]["rounds"])
        assert 0 < second_up <= first_up, "the first round also asks who is there"

    def test_the_ledger_has_each_accepted_reply_once(self, told: dict[str, Any]) -> None:
        for name in ("straight", "both halves"):
            ledger = told[name]["ledger"]
            assert ledger["reply-accepted"] == 2 * 2
            assert ledger["round-aggregated"] == ledger["round-closed"] == 2

    def test_a_round_without_a_quorum_is_repeated_and_then_not_averaged(self, told: dict[str, Any]) -> None:
        assert "round 1 has no quorum: 2 of 4 hospitals, 3 needed" in told["lost"]
        assert "hospital 2: plan_refused" in told["lost"]
        assert "hospital 3: site_unusable" in told["lost"]
