"""What stands before every page: nobody else's page may speak to this one, and nothing of it may be kept or framed.

* A request must name an address that this unit answers to (against DNS rebinding), and a form must come from a page of
  its own (against forgery); the cookie is ``SameSite=Strict`` besides.
* The content policy lets a page load from this unit alone, so that it cannot reach out even by mistake.
* A body larger than any picture is refused before it is read.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eyebright_edge.kiosk.inbox import LARGEST_BYTES

_POLICY = (
    "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}
_LARGEST_BODY = LARGEST_BYTES + 1024 * 1024


class Guard:
    """ASGI middleware.

    Args:
        app: What is guarded.
        names: Names and addresses that this unit answers to.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str]) -> None:
        self._app, self._names = app, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refusal(Headers(scope=scope), str(scope["method"]))
        if refused is not None:
            await refused(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _refusal(self, headers: Headers, method: str) -> PlainTextResponse | None:
        asked = headers.get("host", "")
        if urlsplit(f"//{asked}").hostname not in self._names:
            return PlainTextResponse("This unit does not answer to that name.", status_code=421)
        if method not in ("GET", "HEAD"):
            origin = headers.get("origin")
            if origin is None or urlsplit(origin).netloc != asked:
                return PlainTextResponse("A form must come from a page of this unit.", status_code=403)
            length = headers.get("content-length", "")
            if not length.isdigit() or int(length) > _LARGEST_BODY:
                return PlainTextResponse("This is larger than any picture.", status_code=413)
        return None
