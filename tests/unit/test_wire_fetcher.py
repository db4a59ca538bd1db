"""Cut, damaged and resumed downloads, against a server made of a few lines."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tuf.api.exceptions import DownloadError, DownloadHTTPError

from eyebright_common.trust import METADATA_URL, TARGETS_URL
from eyebright_common.wire import CHUNK_BYTES, DistributionClient, GrpcFetcher, Patience
from eyebright_common.wire import distribution_pb2 as pb
from eyebright_common.wire.methods import DISTRIBUTION_SERVICE, FETCH_TARGET, GET_METADATA

DATA = bytes(range(256)) * (CHUNK_BYTES // 256) * 4 + b"end"  # four chunks and a bit
Answer = Callable[[pb.FetchTargetRequest, grpc.ServicerContext], Iterator[pb.TargetChunk]]


def chunks(offset: int, data: bytes = DATA) -> Iterator[pb.TargetChunk]:
    for at in range(offset, max(len(data), offset + 1), CHUNK_BYTES):
        piece = data[at : at + CHUNK_BYTES]
        yield pb.TargetChunk(offset=at, data=piece, crc32=zlib.crc32(piece), total_bytes=len(data))


class Server:
    """Answers each request for a target with the next answer given; the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [lambda request, context: chunks(request.offset)]
        self.offsets: list[int] = []
        self.metadata_answers: list[grpc.StatusCode | bytes] = [b"{}"]

    def fetch(self, request: pb.FetchTargetRequest, context: grpc.ServicerContext) -> Iterator[pb.TargetChunk]:
        self.offsets.append(request.offset)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        yield from answer(request, context)

    def metadata(self, request: pb.GetMetadataRequest, context: grpc.ServicerContext) -> pb.GetMetadataReply:
        answer = self.metadata_answers.pop(0) if len(self.metadata_answers) > 1 else self.metadata_answers[0]
        if isinstance(answer, bytes):
            return pb.GetMetadataReply(data=answer)
        context.abort(answer, "not-published" if answer is grpc.StatusCode.NOT_FOUND else "")
        raise AssertionError


@pytest.fixture(scope="module")
def listening():
    """One plain server for all tests here; each test gives it its own answers."""
    current: list[Server] = [Server()]
    server = grpc.server(ThreadPoolExecutor(4))
    handlers = {
        "FetchTarget": grpc.unary_stream_rpc_method_handler(
            lambda r, c: current[0].fetch(r, c),
            request_deserializer=FETCH_TARGET.request.FromString,
            response_serializer=FETCH_TARGET.reply.SerializeToString,
        ),
        "GetMetadata": grpc.unary_unary_rpc_method_handler(
            lambda r, c: current[0].metadata(r, c),
            request_deserializer=GET_METADATA.request.FromString,
            response_serializer=GET_METADATA.reply.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(DISTRIBUTION_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield current, f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def server(listening):
    current, _ = listening
    current[0] = Server()
    return current[0]


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def fetcher(listening, server, pauses, tmp_path):
    patience = Patience(attempts=3, first_pause_s=1, longest_pause_s=3, sleep=pauses.append, jitter=lambda: 1.0)
    with DistributionClient(grpc.insecure_channel(listening[1]), patience=patience) as client:
        yield GrpcFetcher(client, tmp_path / "parts")


def cut(after: int, status: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Answer:
    def answer(request: pb.FetchTargetRequest, context: grpc.ServicerContext) -> Iterator[pb.TargetChunk]:
        for number, chunk in enumerate(chunks(request.offset)):
            if number == after:
                context.abort(status, "")
            yield chunk

    return answer


def test_a_whole_target_arrives(fetcher):
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == DATA


def test_a_cut_stream_goes_on_from_where_it_was(fetcher, server):
    server.answers = [cut(2), cut(1), lambda r, c: chunks(r.offset)]
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == DATA
    assert server.offsets == [0, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES]


def test_truncated_stream_that_ends_politely_is_resumed_too(fetcher, server):
    server.answers = [lambda r, c: iter(list(chunks(r.offset))[:1]), lambda r, c: chunks(r.offset)]
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == DATA
    assert server.offsets == [0, CHUNK_BYTES]


def test_a_download_goes_on_after_a_restart(fetcher, server):
    server.answers = [cut(3, grpc.StatusCode.INTERNAL)]
    with pytest.raises(DownloadError):
        list(fetcher.fetch(TARGETS_URL + "a"))
    server.answers = [lambda r, c: chunks(r.offset)]
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == DATA
    assert server.offsets == [0, 3 * CHUNK_BYTES]


def test_a_reader_that_stops_early_leaves_what_came(fetcher, server):
    pieces = fetcher.fetch(TARGETS_URL + "a")
    next(pieces)
    del pieces  # the process went away
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == DATA
    assert server.offsets[1] == CHUNK_BYTES


def test_a_stream_that_never_moves_is_given_up(fetcher, server, pauses):
    server.answers = [cut(0)]
    with pytest.raises(DownloadError):
        fetcher.fetch(TARGETS_URL + "a")
    assert len(server.offsets) == 3
    assert pauses == [1, 2]


def test_progress_starts_the_count_of_failures_again(fetcher, server):
    server.answers = [cut(1), cut(1), cut(1), cut(1), lambda r, c: chunks(r.offset)]
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == DATA


def test_slow_retrieval_is_given_up_although_something_always_comes(fetcher, server, pauses):
    def drip(request: pb.FetchTargetRequest, context: grpc.ServicerContext) -> Iterator[pb.TargetChunk]:
        yield pb.TargetChunk(offset=request.offset, data=b"x", crc32=zlib.crc32(b"x"), total_bytes=len(DATA))
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "")

    server.answers = [drip]
    with pytest.raises(DownloadError):
        list(fetcher.fetch(TARGETS_URL + "a"))
    assert server.offsets == [0, 1, 2]
    assert pauses == [1, 2]


def test_a_damaged_chunk_is_fetched_again(fetcher, server):
    def damaged(request: pb.FetchTargetRequest, context: grpc.ServicerContext) -> Iterator[pb.TargetChunk]:
        first, second, *_ = chunks(request.offset)
        yield first
        second.data = b"?" + second.data[1:]
        yield second

    server.answers = [damaged, lambda r, c: chunks(r.offset)]
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == DATA
    assert server.offsets == [0, CHUNK_BYTES]


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": 1, "data": b"x", "crc32": zlib.crc32(b"x"), "total_bytes": 10},
        {"offset": 0, "data": b"xx", "crc32": zlib.crc32(b"xx"), "total_bytes": 1},
        {"offset": 0, "data": bytes(CHUNK_BYTES + 1), "crc32": 0, "total_bytes": 2**30},
        {"offset": 0, "data": b"x", "crc32": 0, "total_bytes": 1},
    ],
    ids=["out of order", "beyond the end", "too large", "wrong checksum"],
)
def test_a_chunk_that_cannot_be_right_is_never_handed_on(fetcher, server, wrong):
    server.answers = [lambda r, c: iter([pb.TargetChunk(**wrong)])]
    with pytest.raises(DownloadError):
        fetcher.fetch(TARGETS_URL + "a")


def test_an_empty_target_arrives_as_such(fetcher, server):
    server.answers = [lambda r, c: chunks(r.offset, b"")]
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == b""


def test_a_forgotten_beginning_is_fetched_again(fetcher, server):
    list(fetcher.fetch(TARGETS_URL + "a"))
    fetcher.forget("a")
    list(fetcher.fetch(TARGETS_URL + "a"))
    assert server.offsets == [0, 0]


def test_a_kept_beginning_longer_than_the_file_is_dropped(fetcher, server):
    def refuse(request: pb.FetchTargetRequest, context: grpc.ServicerContext) -> Iterator[pb.TargetChunk]:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "bad-request")
        yield from ()

    list(fetcher.fetch(TARGETS_URL + "a"))
    server.answers = [refuse]
    with pytest.raises(DownloadError):
        list(fetcher.fetch(TARGETS_URL + "a"))
    server.answers = [lambda r, c: chunks(r.offset)]
    assert b"".join(fetcher.fetch(TARGETS_URL + "a")) == DATA
    assert server.offsets[-1] == 0


def test_metadata_that_is_not_there_is_http_404(fetcher, server):
    server.metadata_answers = [grpc.StatusCode.NOT_FOUND]
    with pytest.raises(DownloadHTTPError) as refused:
        fetcher.fetch(METADATA_URL + "2.root.json")
    assert refused.value.status_code == 404


def test_a_target_that_is_not_there_is_http_404(fetcher, server):
    def missing(request: pb.FetchTargetRequest, context: grpc.ServicerContext) -> Iterator[pb.TargetChunk]:
        context.abort(grpc.StatusCode.NOT_FOUND, "not-published")
        yield from ()

    server.answers = [missing]
    with pytest.raises(DownloadHTTPError):
        fetcher.fetch(TARGETS_URL + "a")


def test_a_server_that_is_away_for_a_moment_is_asked_again(fetcher, server, pauses):
    server.metadata_answers = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE, b"{}"]
    assert b"".join(fetcher.fetch(METADATA_URL + "timestamp.json")) == b"{}"
    assert pauses == [1, 2]


def test_a_server_that_stays_away_is_given_up(fetcher, server, pauses):
    server.metadata_answers = [grpc.StatusCode.UNAVAILABLE]
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetcher.fetch(METADATA_URL + "timestamp.json")
    assert pauses == [1, 2]


def test_a_refusal_is_not_repeated(fetcher, server, pauses):
    server.metadata_answers = [grpc.StatusCode.INTERNAL]
    with pytest.raises(DownloadError):
        fetcher.fetch(METADATA_URL + "timestamp.json")
    assert pauses == []


def test_a_url_that_is_not_ours_is_refused(fetcher):
    with pytest.raises(DownloadError):
        fetcher.fetch("https://example.org/metadata/timestamp.json")
