"""The wire's contract: generated code is current, methods agree with the source, errors cross as fixed words."""

import re

import grpc
import pytest

import eyebright_common.errors as errors_room
from eyebright_common.errors import (
    EyebrightError,
    GoldenMismatch,
    ImageError,
    InputError,
    InvitationError,
    TargetRejected,
    TrustError,
)
from eyebright_common.wire import CATALOGUE, public_error
from eyebright_common.wire import distribution_pb2 as pb
from eyebright_common.wire.catalogue import local_error
from eyebright_common.wire.generate import GENERATED, ROOM, generate
from eyebright_common.wire.methods import METHODS
from eyebright_server.distribution import Rate
from eyebright_server.distribution.limits import RateLimiter

ALL_ERRORS = [e for e in vars(errors_room).values() if isinstance(e, type) and issubclass(e, EyebrightError)]


def test_the_generated_code_is_current(tmp_path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools (development group) is not installed")
    generate(tmp_path)
    for name in GENERATED:
        made = (tmp_path / "eyebright_common" / "wire" / name).read_text()
        version = re.compile(r"(# Protobuf Python Version: .*|^    \d+,$)", re.MULTILINE)
        assert version.sub("", made) == version.sub("", (ROOM / name).read_text()), (
            f"{name} is stale: run python -m eyebright_common.wire.generate"
        )


def test_the_table_of_methods_is_the_one_in_the_source():
    declared = {
        (
            f"/{service.full_name}/{method.name}",
            method.input_type.name,
            method.output_type.name,
            method.server_streaming,
            method.client_streaming,
        )
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    written = {(m.path, m.request.DESCRIPTOR.name, m.reply.DESCRIPTOR.name, m.streams, m.takes_stream) for m in METHODS}
    assert written == declared


class Failed(grpc.RpcError, grpc.Call):
    """A failed call, as gRPC raises it."""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        self._status, self._details = status, details

    def code(self):
        return self._status

    def details(self):
        return self._details

    initial_metadata = trailing_metadata = is_active = time_remaining = cancel = add_callback = lambda self: None


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.word)
def test_an_error_comes_back_as_its_own_kind(row):
    assert type(local_error(Failed(row.status, row.word), doing="trying")) is row.kind


@pytest.mark.parametrize("kind", ALL_ERRORS, ids=lambda kind: kind.__name__)
def test_no_error_takes_its_message_across(kind):
    error = kind("secret-what", fix="secret-fix") if kind is not ImageError else ImageError("secret", name="secret")
    row = public_error(error)
    assert row in CATALOGUE
    assert "secret" not in f"{row.word} {row.what} {row.fix}"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (InvitationError("x"), "invitation"),
        (TargetRejected("x"), "not-as-described"),
        (GoldenMismatch("x"), "does-not-fit"),
        (TrustError("x"), "not-trusted"),
        (ImageError("truncated", name="patient-17.jpg"), "bad-request"),
        (InputError("x"), "bad-request"),
        (EyebrightError("x"), "internal"),
        (ZeroDivisionError("x"), "internal"),
    ],
)
def test_the_most_specific_row_wins(error, word):
    assert public_error(error).word == word


def test_a_word_under_another_status_is_not_believed():
    error = local_error(Failed(grpc.StatusCode.UNKNOWN, "invitation"), doing="trying")
    assert not isinstance(error, InvitationError)


def test_words_are_fixed_and_different():
    words = [row.word for row in CATALOGUE]
    assert len(set(words)) == len(words)
    assert all(re.fullmatch(r"[a-z-]+", word) for word in words)


class Watch:
    """Monotonic seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def allowed(limiter: RateLimiter, caller: str) -> bool:
    try:
        limiter.spend(caller)
    except errors_room.LimitExceeded:
        return False
    return True


def test_a_bucket_lets_a_burst_through_and_fills_again():
    watch = Watch()
    limiter = RateLimiter(Rate(burst=3, per_second=0.5), watch)
    assert [allowed(limiter, "a") for _ in range(4)] == [True, True, True, False]
    watch.now = 4.0  # 4 s at 0.5 per second: two more
    assert [allowed(limiter, "a") for _ in range(3)] == [True, True, False]


def test_a_bucket_never_holds_more_than_its_burst():
    watch = Watch()
    limiter = RateLimiter(Rate(burst=2, per_second=10), watch)
    allowed(limiter, "a")
    watch.now = 1000.0
    assert [allowed(limiter, "a") for _ in range(3)] == [True, True, False]


def test_callers_do_not_spend_each_others_requests():
    limiter = RateLimiter(Rate(burst=1, per_second=0), Watch())
    assert [allowed(limiter, c) for c in "aab"] == [True, False, True]


def test_memory_is_bounded_by_callers_that_are_still_counted():
    watch = Watch()
    limiter = RateLimiter(Rate(burst=1, per_second=1), watch, callers=2)
    assert [allowed(limiter, c) for c in "abc"] == [True, True, False]
    watch.now = 1.0
    assert allowed(limiter, "c")
