"""No change to the middle of a ledger goes unnoticed, and the broken entry is named."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.errors import TrustError
from eyebright_server.records import GENESIS, LedgerEntry, canonical, entry_hash, verify_chain

facts = st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=8), st.booleans()), max_size=3)


@st.composite
def chains(draw: st.DrawFn, least: int = 0) -> list[LedgerEntry]:
    entries: list[LedgerEntry] = []
    for payload in draw(st.lists(facts, min_size=least, max_size=6)):
        fields = {
            "seq": len(entries) + 1,
            "time": "2026-01-01T00:00:00+00:00",
            "kind": "round-closed",
            "payload": canonical(payload),
            "previous_hash": entries[-1].hash if entries else GENESIS,
        }
        entries.append(LedgerEntry(**fields, hash=entry_hash(**fields)))
    return entries


@given(chains())
def test_an_untouched_chain_verifies(chain):
    head = verify_chain(chain)
    assert (head.entries, head.hash) == (len(chain), chain[-1].hash if chain else GENESIS)


@given(chains(least=1), st.data())
def test_a_changed_entry_is_named(chain, data):
    at = data.draw(st.integers(0, len(chain) - 1))
    field, value = data.draw(
        st.sampled_from([("payload", '{"changed":1}'), ("time", "2020"), ("kind", "other"), ("hash", "f" * 64)])
    )
    chain[at] = replace(chain[at], **{field: value})
    with pytest.raises(TrustError, match=f"broken at entry {at + 1} "):
        verify_chain(chain)


@given(chains(least=2), st.data())
def test_a_removed_entry_is_noticed_unless_it_was_the_last(chain, data):
    at = data.draw(st.integers(0, len(chain) - 2))
    del chain[at]
    with pytest.raises(TrustError, match=f"broken at entry {at + 2} "):
        verify_chain(chain)


@given(chains(least=2), st.data())
def test_an_entry_changed_with_its_hash_breaks_the_next(chain, data):
    at = data.draw(st.integers(0, len(chain) - 2))
    old = chain[at]
    fields = {"seq": old.seq, "time": old.time, "kind": "forged", "payload": "{}", "previous_hash": old.previous_hash}
    chain[at] = LedgerEntry(**fields, hash=entry_hash(**fields))
    with pytest.raises(TrustError, match=f"broken at entry {at + 2} "):
        verify_chain(chain)
