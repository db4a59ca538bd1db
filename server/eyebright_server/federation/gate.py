"""The reply gate: what a reply must be before it may touch the model.

* Flower checks that replies have equal keys, and ends the run where they have not. Here each reply is checked on its
  own against what was sent, and a bad one is set aside with its reason while the round goes on.
* Order: identity of the question, schema, arithmetic, plausibility. The first rule that fails names the reason.
* A question's nonce must come back with the answer, and a student that was already accepted in an earlier round is
  not accepted again: both are ``replayed``.
* Over a network a hospital is who its registered key says; one that gives another's number is set aside under its own.
* The declared number of rows is the hospital's own word from the query at the start; a tenth more is tolerated, because
  a hospital may add images between the query and the round.

Not here: the length of an update, alone and against the others, which is ``cohort``'s.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eyebright_common import exchange
from eyebright_server.federation.records import UNIDENTIFIED, Arrays, Reply, Setback

_TOLERANCE = 1.1


def set_aside_update(
    reply: Reply, *, sent: Arrays, plan_digest: str, round_number: int, declared_rows: int
) -> Setback | None:
    """Return why a trained student must not be averaged, or None when it may.

    Args:
        reply: A hospital's answer to a training request.
        sent: The global arrays it was asked to train.
        plan_digest: The plan it was asked to follow.
        round_number: The round it was asked for.
        declared_rows: Training images the hospital declared.
    """
    return (
        _wrong_question(reply, plan_digest, round_number)
        or _wrong_schema(reply, sent)
        or _not_finite(reply)
        or _implausible(reply, declared_rows)
    )


def set_aside_counts(reply: Reply, *, plan_digest: str, round_number: int, declared_rows: int) -> Setback | None:
    """Return why an evaluation must not be pooled, or None when it may; the counts' own shape is checked by their type.

    Args:
        reply: A hospital's answer to an evaluation request.
        plan_digest: The plan it was asked to follow.
        round_number: The round it was asked for.
        declared_rows: Validation images the hospital declared.
    """
    for name, value in reply.numbers.items():
        if not name.startswith(exchange.COUNTS_PREFIX):
            continue
        if not isinstance(value, list) or any(isinstance(n, float) or n < 0 for n in value):
            return Setback(site=reply.site, reason="bad_counts", detail=name)
    return _wrong_question(reply, plan_digest, round_number) or _implausible(reply, declared_rows, least=0)


def _wrong_question(reply: Reply, plan_digest: str, round_number: int) -> Setback | None:
    if reply.site == UNIDENTIFIED:
        return Setback(site=reply.site, reason="unidentified", detail="no number, or one that another hospital has")
    if (claimed := reply.numbers.get(exchange.SITE_INDEX, reply.site)) != reply.site:
        return Setback(site=reply.site, reason="wrong_site", detail=f"it says it is hospital {claimed}"[:200])
    if reply.echo.get(exchange.PLAN_DIGEST) != plan_digest:
        return Setback(site=reply.site, reason="wrong_plan", detail=str(reply.echo.get(exchange.PLAN_DIGEST))[:64])
    if reply.echo.get(exchange.ROUND) != round_number:
        return Setback(site=reply.site, reason="wrong_round", detail=str(reply.echo.get(exchange.ROUND))[:64])
    if reply.nonce and reply.echo.get(exchange.NONCE) != reply.nonce:
        return Setback(site=reply.site, reason="replayed", detail="the answer is to another question")
    return None


def _wrong_schema(reply: Reply, sent: Arrays) -> Setback | None:
    differing = sorted(reply.arrays.keys() ^ sent.keys())
    if differing:
        return Setback(
            site=reply.site, reason="wrong_keys", detail=f"{len(differing)} differ, first {differing[0]}"[:200]
        )
    for name, array in sent.items():
        got = reply.arrays[name]
        if got.shape != array.shape:
            return Setback(site=reply.site, reason="wrong_shape", detail=f"{name}: {got.shape}, sent {array.shape}")
        if got.dtype != array.dtype:
            return Setback(site=reply.site, reason="wrong_dtype", detail=f"{name}: {got.dtype}, sent {array.dtype}")
    return None


def _not_finite(reply: Reply) -> Setback | None:
    for name, array in reply.arrays.items():
        if not np.isfinite(array).all():
            return Setback(site=reply.site, reason="not_finite", detail=name)
        if name.endswith("running_var") and (array < 0).any():
            return Setback(site=reply.site, reason="negative_variance", detail=name)
    for name, value in losses_of(reply.numbers).items():
        if not np.isfinite(value):
            return Setback(site=reply.site, reason="not_finite", detail=exchange.LOSS_PREFIX + name)
    return None


def _implausible(reply: Reply, declared_rows: int, *, least: int = 1) -> Setback | None:
    count = reply.numbers.get(exchange.NUM_EXAMPLES)
    if not isinstance(count, int) or not least <= count <= declared_rows * _TOLERANCE:
        return Setback(site=reply.site, reason="implausible_count", detail=f"{count}, declared {declared_rows}")
    return None


def losses_of(numbers: Mapping[str, int | float | list[int] | list[float]]) -> dict[str, float]:
    """Return the loss terms among a reply's numbers, without their prefix."""
    prefix = exchange.LOSS_PREFIX
    return {
        k.removeprefix(prefix): float(v) for k, v in numbers.items() if k.startswith(prefix) and not isinstance(v, list)
    }
