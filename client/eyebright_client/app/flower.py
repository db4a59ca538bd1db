"""The only file of the hospital that knows Flower (1.41, Message API).

* The app is stateless: all it keeps between rounds is in the site directory (cache, audit log).
* A site is found by ``node_config["site"]``, or by ``node_config["partition-id"]`` in the list the app was made with;
  module-level functions bound with ``partial`` travel to simulation workers by reference.
* **No exception reaches Flower.** Flower puts the text of one into its reply, and ours may name files. A failure
  becomes a code and a fixed sentence (``exchange.REFUSAL_TEXT``); the true reason goes to the hospital's own log.
* Every request and every answer is in the audit log, on disk, before the answer is handed over.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    MetricRecordValues,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.serde import recorddict_to_proto

from eyebright_client.app.site import Site
from eyebright_client.app.work import evaluate_global, measure_statistics, train_round
from eyebright_client.audit import Crossing, record
from eyebright_client.policy import (
    Policy,
    approve,
    approve_signature,
    keep_to_budget,
    note_asked,
    note_spent,
    read_policy,
    refuse_while_paused,
    spent,
)
from eyebright_client.policy.limits import within_limits
from eyebright_common import exchange
from eyebright_common.errors import EyebrightError, InputError, PlanRefused
from eyebright_common.exchange import Refusal
from eyebright_common.plan import Plan

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What a message asks, read and checked."""

    plan: Plan
    round: int
    arrays: dict[str, np.ndarray]
    nonce: str
    signature: str


Handler = Callable[[Site, _Request], RecordDict]


class _BadRequest(Exception):
    """The message is not one of ours."""


def make_client_app(sites: Sequence[Path] = ()) -> ClientApp:
    """Return the app that answers for one hospital per node.

    Args:
        sites: Site directories by partition id, for simulations; a real node names its own as ``site`` in its
            configuration.
    """
    app = ClientApp()
    paths = tuple(str(Path(site).resolve()) for site in sites)
    for register, handler in ((app.train, _train), (app.evaluate, _evaluate), (app.query, _query)):
        register()(partial(_answer, handler, paths))
    app.train("statistics")(partial(_answer, _measure, paths))
    return app


def _answer(handler: Handler, sites: tuple[str, ...], message: Message, context: Context) -> Message:
    """Answer one message, whatever happens, and leave two lines in the audit log."""
    try:
        folder = _site_folder(sites, context)
    except InputError as error:
        log.error("no site directory: %s", error)
        return _refuse(message, Refusal.SITE_UNUSABLE)
    _audit(folder, message, "in", "ok")
    try:
        site = Site.open(folder)
        reply = Message(handler(site, _read(message)), reply_to=message)
        outcome = "ok"
    except Exception as error:
        refusal = _refusal_for(error)
        log.error("%s: round work ended with %s: %s", folder, refusal.name, error, exc_info=refusal is Refusal.FAILED)
        reply, outcome = _refuse(message, refusal), refusal.name.lower()
    _audit(folder, reply, "out", outcome, request=message)
    return reply


def _train(site: Site, request: _Request) -> RecordDict:
    policy = _consent(site, request)
    note_spent(site.folder, request.plan, request.round)
    with within_limits(policy) as device:
        trained = train_round(
            site, request.plan, request.arrays, round_number=request.round, threads=policy.threads, device=device
        )
    numbers: dict[str, MetricRecordValues] = {
        exchange.NUM_EXAMPLES: trained.examples,
        exchange.STEPS: trained.steps,
        exchange.SITE_INDEX: site.index,
    }
    if "losses" in policy.fields:
        numbers.update({exchange.LOSS_PREFIX + name: value for name, value in trained.losses.items()})
    arrays = ArrayRecord({name: Array(array) for name, array in trained.arrays.items()})
    return RecordDict(
        {exchange.ARRAYS: arrays, exchange.METRICS: MetricRecord(numbers), exchange.CONFIG: _echo(request)}
    )


def _measure(site: Site, request: _Request) -> RecordDict:
    policy = _consent(site, request)
    with within_limits(policy) as device:
        measured, images = measure_statistics(site, request.plan, request.arrays, threads=policy.threads, device=device)
    arrays = ArrayRecord({name: Array(array) for name, array in measured.items()})
    metrics = MetricRecord({exchange.NUM_EXAMPLES: images, exchange.SITE_INDEX: site.index})
    return RecordDict({exchange.ARRAYS: arrays, exchange.METRICS: metrics, exchange.CONFIG: _echo(request)})


def _evaluate(site: Site, request: _Request) -> RecordDict:
    policy = _consent(site, request)
    if "counts" not in policy.fields:
        raise PlanRefused("counts may not leave this hospital")
    with within_limits(policy) as device:
        found = evaluate_global(
            site, request.plan, request.arrays, round_number=request.round, threads=policy.threads, device=device
        )
    numbers: dict[str, MetricRecordValues] = {
        exchange.NUM_EXAMPLES: site.rows("validation"),
        exchange.SITE_INDEX: site.index,
        **{exchange.COUNTS_PREFIX + name: values for name, values in found.counts.items()},
    }
    if found.beats_own is not None and "comparison" in policy.fields:
        numbers[exchange.BEATS_OWN] = int(found.beats_own)
    return RecordDict({exchange.METRICS: MetricRecord(numbers), exchange.CONFIG: _echo(request)})


def _query(site: Site, request: _Request) -> RecordDict:
    """Say who this is and whether it will take part; how much data it has, only to an approved plan."""
    numbers: dict[str, MetricRecordValues] = {exchange.SITE_INDEX: site.index}
    try:
        _consent(site, request)
        numbers[exchange.TRAIN_ROWS] = site.rows("train")
        numbers[exchange.VALIDATION_ROWS] = site.rows("validation")
        numbers[exchange.STATUS] = exchange.READY
    except EyebrightError as error:
        log.error("%s: cannot take part: %s", site.folder, error)
        numbers[exchange.STATUS] = int(_refusal_for(error))
    return RecordDict({exchange.METRICS: MetricRecord(numbers), exchange.CONFIG: _echo(request)})


def _consent(site: Site, request: _Request) -> Policy:
    """Return the hospital's policy when this request keeps it, and keep the plan for a person to read."""
    policy = read_policy(site.folder)
    approve_signature(policy, request.plan, request.signature)
    note_asked(site.folder, request.plan)
    refuse_while_paused(site.folder)
    now = datetime.now()  # noqa: DTZ005  # the policy's hours are those of the clock on the hospital's wall
    approve(policy, request.plan, round_number=request.round, rows=site.rows("train"), now=now)
    keep_to_budget(policy.privacy_budget, request.plan, spent(site.folder))
    return policy


def _echo(request: _Request) -> ConfigRecord:
    return ConfigRecord(
        {
            exchange.PLAN_DIGEST: request.plan.digest(),
            exchange.ROUND: request.round,
            exchange.NONCE: request.nonce,
        }
    )


def _read(message: Message) -> _Request:
    try:
        config = message.content.config_records[exchange.CONFIG]
        plan = Plan.from_json(str(config[exchange.PLAN]))
        number = config[exchange.ROUND]
        if not isinstance(number, int):
            raise _BadRequest("the round is not a number")
        records = message.content.array_records
        arrays = {name: array.numpy() for name, array in records.get(exchange.ARRAYS, ArrayRecord()).items()}
    except (KeyError, ValueError, TypeError, InputError) as error:
        raise _BadRequest(str(error)) from error
    return _Request(
        plan=plan,
        round=number,
        arrays=arrays,
        nonce=message.metadata.group_id,
        signature=str(config.get(exchange.PLAN_SIGNATURE, "")),
    )


def _site_folder(sites: tuple[str, ...], context: Context) -> Path:
    named = context.node_config.get("site")
    if isinstance(named, str) and Path(named).is_dir():
        return Path(named)
    partition = context.node_config.get("partition-id")
    if isinstance(partition, int) and 0 <= partition < len(sites) and Path(sites[partition]).is_dir():
        return Path(sites[partition])
    raise InputError("this node has no site directory", value=dict(context.node_config), fix="Set node_config 'site'.")


def _refusal_for(error: Exception) -> Refusal:
    if isinstance(error, PlanRefused):
        return Refusal.PLAN_REFUSED
    if isinstance(error, _BadRequest):
        return Refusal.BAD_REQUEST
    return Refusal.SITE_UNUSABLE if isinstance(error, EyebrightError) else Refusal.FAILED


def _refuse(message: Message, refusal: Refusal) -> Message:
    return Message(Error(code=int(refusal), reason=exchange.REFUSAL_TEXT[refusal]), reply_to=message)


def _audit(folder: Path, message: Message, direction: str, outcome: str, *, request: Message | None = None) -> None:
    """Log one crossing; the round and plan of an answer are those of its request."""
    config = (request or message).content.config_records.get(exchange.CONFIG, ConfigRecord())
    number, text = config.get(exchange.ROUND, 0), config.get(exchange.PLAN, "")
    content = _content_bytes(message)
    crossing = Crossing(
        kind=message.metadata.message_type,
        direction=direction,
        round=number if isinstance(number, int) else 0,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        plan=hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) and text else "",
        outcome=outcome,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    record(folder, crossing)


def _content_bytes(message: Message) -> bytes:
    """The content as Flower serialises it; a refusal's content is its code and sentence."""
    if message.has_error():
        return f"{message.error.code} {message.error.reason}".encode()
    serialised: bytes = recorddict_to_proto(message.content).SerializeToString(deterministic=True)
    return serialised
