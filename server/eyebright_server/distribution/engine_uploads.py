"""Taking engines from builders: pieces of a stream into the inbox, which knows what may come in.

* A piece is written before the next one is taken from the connection. Its checksum finds what the line spoilt; what
  counts is the digest of the whole.
* One builder sends one engine at a time, and few builders at once: an upload must not keep units from their releases.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager

from eyebright_common.errors import InputError, LimitExceeded
from eyebright_common.release.engines import EngineUpload
from eyebright_common.trust import PeerIdentity
from eyebright_common.wire import CHUNK_BYTES
from eyebright_common.wire import distribution_pb2 as pb
from eyebright_server.distribution.limits import Places
from eyebright_server.release.engine_inbox import EngineInbox

BUILDERS_AT_ONCE = 4


class EngineUploads:
    """The engines that arrive; belongs to one event loop.

    Args:
        inbox: Where they go.
    """

    def __init__(self, inbox: EngineInbox) -> None:
        self._inbox = inbox
        self._held = Places(1)

    async def offer(self, peer: PeerIdentity, request: pb.OfferEngineRequest) -> pb.OfferEngineReply:
        """Return what becomes of an engine, and from where it is to be sent.

        Raises:
            EyebrightError: as ``EngineInbox.offer``.
        """
        with self._place(peer):  # not while its engine arrives: the part would be replaced under the stream
            state, offset = await asyncio.to_thread(self._inbox.offer, peer.name, request.description_json)
        return pb.OfferEngineReply(state=state.value, offset=offset)

    async def receive(self, peer: PeerIdentity, chunks: AsyncIterator[pb.EngineChunk]) -> pb.SendEngineReply:
        """Keep an engine's pieces; return what became of it once it was whole.

        Raises:
            InputError: it was not offered, or a piece is damaged, out of order or missing.
            EyebrightError: as ``EngineInbox.append`` and ``finish``.
        """
        with self._place(peer):
            upload: EngineUpload | None = None
            async for chunk in chunks:
                if upload is None:
                    upload = await asyncio.to_thread(self._inbox.arriving, peer.name, chunk.sha256)
                if len(chunk.data) > CHUNK_BYTES or zlib.crc32(chunk.data) != chunk.crc32:
                    raise InputError("a piece of an engine arrived damaged", value=chunk.offset, fix="Offer it again.")
                await asyncio.to_thread(self._inbox.append, upload, chunk.offset, chunk.data)
            if upload is None:
                raise InputError("an engine was sent without a piece", value=peer.uri, fix="Offer it first.")
            return pb.SendEngineReply(state=(await asyncio.to_thread(self._inbox.finish, upload)).value)

    def _place(self, peer: PeerIdentity) -> AbstractContextManager[None]:
        if self._held.all >= BUILDERS_AT_ONCE:
            raise LimitExceeded("too many builders send at once", fix="Wait a minute and try again.")
        return self._held.one(peer.uri)
