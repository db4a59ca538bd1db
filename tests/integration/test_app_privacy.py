"""Nothing that names a patient, a file or a hospital is in any byte that leaves."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message
from flwr.common.serde import message_to_proto

from eyebright_client.app import make_client_app
from eyebright_client.audit import verify
from eyebright_common import exchange
from eyebright_common.errors import FederationError
from eyebright_common.plan import Plan
from eyebright_server.federation import run_federation
from tiny_federation import TEACHER, pictures, tiny_initial, tiny_plan, tiny_site, tiny_teacher

SECRETS = ("Mrs-Rosalind-Smith", "St-Elsewhere", "nhs-4857773456", "site-folder-of-St-Elsewhere")


class Wire:
    """A ClientApp seen from the cable: keeps every reply as the bytes a transport would carry."""

    def __init__(self, sites: list[Path]) -> None:
        self._app = make_client_app(sites)
        self.replies: list[Message] = []
        self.sent = b""

    def __call__(self, message: Message, context: Context) -> Message:
        reply = self._app(message, context)
        self.replies.append(reply)
        self.sent += message_to_proto(reply).SerializeToString()
        return reply


def telling_site(folder: Path, plan: Plan) -> Path:
    site = tiny_site(folder / SECRETS[3], 0, plan)
    (site / "site.json").write_text('{"name": "St-Elsewhere", "index": 0, "contact": "nhs-4857773456"}')
    for split, seed in (("train", 1), ("validation", 2)):
        pictures(8, seed, patient="Mrs-Rosalind-Smith").save(site / f"{split}.npz")
    return site


def no_damage(site: Path) -> None:
    pass


def broken_pictures(site: Path) -> None:
    (site / "train.npz").write_bytes(b"Mrs-Rosalind-Smith")


def no_pictures(site: Path) -> None:
    (site / "validation.npz").unlink()


def no_policy(site: Path) -> None:
    (site / "policy.json").unlink()


def no_teacher(site: Path) -> None:
    (site / "teacher.safetensors").unlink()


def no_name(site: Path) -> None:
    (site / "site.json").write_text("{St-Elsewhere")


@pytest.mark.parametrize("damage", [no_damage, broken_pictures, no_pictures, no_policy, no_teacher, no_name])
def test_identifiers_in_the_site_never_leave_it(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    digest = tiny_teacher(tmp_path / "teacher.safetensors")
    plan = tiny_plan(rounds=1, teacher_sha256=digest, teacher_arch=TEACHER, recipe={})
    site = telling_site(tmp_path, plan)
    (tmp_path / "teacher.safetensors").rename(site / "teacher.safetensors")
    damage(site)
    wire = Wire([site])
    try:
        run_federation(
            plan=plan,
            initial=tiny_initial(plan),
            sites=[site],
            checkpoint=tmp_path / "rounds",
            client_app=wire,
        )
    except FederationError as error:
        assert damage is not no_damage, "the undamaged site completes its round"
        wire.sent += str(error).encode()
    assert len(wire.replies) >= 2
    fingerprints = [d.encode() for d in pictures(8, 1, patient="Mrs-Rosalind-Smith").digests]
    for secret in (*(s.encode() for s in SECRETS), *fingerprints, str(tmp_path).encode()):
        assert secret not in wire.sent
    if damage is not no_name:
        assert verify(site) == 2 * len(wire.replies)


def test_a_reply_holds_float_arrays_of_the_student_counts_and_mean_losses_only(tmp_path: Path) -> None:
    plan = tiny_plan(rounds=1)
    wire = Wire([telling_site(tmp_path, plan)])
    initial = tiny_initial(plan)
    run_federation(
        plan=plan,
        initial=initial,
        sites=[tmp_path / SECRETS[3]],
        checkpoint=tmp_path / "rounds",
        client_app=wire,
    )
    for reply in wire.replies:
        assert set(reply.content) <= {exchange.ARRAYS, exchange.METRICS, exchange.CONFIG}
        assert set(reply.content[exchange.CONFIG]) == {exchange.PLAN_DIGEST, exchange.ROUND, exchange.NONCE}
        for name, array in reply.content.array_records.get(exchange.ARRAYS, {}).items():
            assert array.numpy().dtype == np.float32
            assert array.numpy().shape == initial[name].shape
        for name, value in reply.content[exchange.METRICS].items():
            if name.startswith(exchange.LOSS_PREFIX):
                assert isinstance(value, float)
            elif name.startswith(exchange.COUNTS_PREFIX):
                assert all(isinstance(n, int) for n in value)
            else:
                assert name in exchange.REPLY_COUNTS
                assert isinstance(value, int)
