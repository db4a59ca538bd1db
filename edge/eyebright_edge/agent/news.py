"""What the operator's signed metadata said last, and the clock that follows from it.

* A small computer without a battery wakes up in 1970, or anywhere. The newest signing time that this unit has verified
  is a time before which it cannot be: the high-water mark. It only rises, and only by signatures; a clock that is ahead
  leaves no trace in it, so that a corrected clock is enough to go on.
* ``trusted_time`` is the machine's clock or the mark, whichever is later.
* Metadata older than the mark is refused even when the kept metadata is lost, so that a wiped folder and an old copy
  of the repository cannot bring an old release back.
* News that has run out stops new installs and nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from eyebright_common.documents import Document
from eyebright_common.errors import MetadataExpired
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.twice import read_either, write_twice

# Further ahead of the newest signature than this, a clock is more likely wrong than the operator silent.
_CREDIBLE_SILENCE = timedelta(days=2 * 365)


class News(Document):
    """What verified metadata said.

    Attributes:
        schema_: Version of this file's shape.
        signed_at: The high-water mark: newest verified signing time; None when none was ever given.
        holds_until: Until when the newest metadata may be taken for the newest there is.
        heard_at: When it was last verified, by the trusted time.
    """

    schema_: Literal["eyebright.news/1"] = Field(default="eyebright.news/1", alias="schema")
    signed_at: AwareDatetime | None = None
    holds_until: AwareDatetime | None = None
    heard_at: AwareDatetime | None = None


def read_news(home: UnitHome) -> News:
    """Return the last news; nothing at all when it cannot be read."""
    return read_either(home.news_file, _parsed) or News()


def note_news(home: UnitHome, fresh: News, *, now: datetime) -> News:
    """Keep verified news and return what is kept.

    Args:
        home: The unit's home.
        fresh: What has just been verified.
        now: The machine's clock.

    Raises:
        MetadataExpired: it was signed before what this unit has verified already.
    """
    known = read_news(home)
    if known.signed_at and (fresh.signed_at is None or fresh.signed_at < known.signed_at):
        signed = "without a date" if fresh.signed_at is None else f"signed {fresh.signed_at:%Y-%m-%d %H:%M}"
        raise MetadataExpired(
            "this update metadata is older than what this unit has verified before",
            value=f"{signed}, known {known.signed_at:%Y-%m-%d %H:%M} UTC",
            fix="Take a newer copy of the repository.",
        )
    heard = News(signed_at=fresh.signed_at, holds_until=fresh.holds_until, heard_at=trusted_time(fresh, now))
    if (heard.signed_at, heard.holds_until) != (known.signed_at, known.holds_until) or _a_day_later(known, heard):
        write_twice(home.news_file, heard.to_json())
    return heard


def trusted_time(news: News, now: datetime) -> datetime:
    """Return the machine's clock, or the high-water mark when the clock is behind it."""
    return max(now, news.signed_at) if news.signed_at else now


def stale_notice(news: News, now: datetime) -> str:
    """Return what a person must know about the news and the clock; empty when both are well."""
    if news.signed_at is None or news.holds_until is None:
        return ""
    if now < news.signed_at:
        said = f"The clock of this unit is behind: it says {now:%Y-%m-%d}, the operator signed on "
        return f"{said}{news.signed_at:%Y-%m-%d}. Screening goes on; set the clock."
    if now <= news.holds_until:
        return ""
    last = f"{news.signed_at:%Y-%m-%d}"
    if now - news.signed_at > _CREDIBLE_SILENCE:
        return (
            f"The clock of this unit says {now:%Y-%m-%d}, the last news from the operator is of {last}. Set the clock "
            "if it is wrong. Screening goes on; no new release is taken."
        )
    return (
        f"The last news from the operator is of {last} and held until {news.holds_until:%Y-%m-%d}. Screening goes on; "
        "no new release is taken until there is a network or a newer stick."
    )


def _parsed(data: bytes) -> News | None:
    try:
        return News.model_validate_json(data)
    except ValidationError:
        return None


def _a_day_later(known: News, heard: News) -> bool:
    # A quiet poll every quarter of an hour must not wear the card out.
    assert heard.heard_at is not None
    return known.heard_at is None or abs(heard.heard_at - known.heard_at) >= timedelta(days=1)
