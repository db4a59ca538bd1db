"""An invitation survives every way of copying that keeps its characters, and nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.errors import InvitationError
from eyebright_common.trust import Invitation, Role

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=80)
# Hypothesis takes bounds without a zone only.
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
invitations = st.builds(
    Invitation,
    name=names,
    role=st.sampled_from(Role),
    enrolment_address=plain,
    distribution_address=plain,
    authority_pem=plain,
    token=plain,
    expires=times,
)


@given(invitations, st.integers(1, 90))
def test_an_invitation_survives_line_wrapping(invitation, width):
    text = invitation.encode()
    wrapped = "\r\n  ".join(text[i : i + width] for i in range(0, len(text), width))
    assert Invitation.decode(wrapped) == invitation


@given(invitations, st.data())
def test_a_changed_character_is_noticed(invitation, data):
    text = invitation.encode()
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([c for c in "abcXYZ019-_." if c != text[position]]))
    try:
        assert Invitation.decode(text[:position] + other + text[position + 1 :]) == invitation
    except InvitationError:
        return
    raise AssertionError("a changed invitation was read")


@given(st.text(max_size=300))
def test_any_text_is_refused_in_words(text):
    for candidate in (text, f"eyebright1.{text}"):
        with pytest.raises(InvitationError) as refused:
            Invitation.decode(candidate)
        assert refused.value.fix
