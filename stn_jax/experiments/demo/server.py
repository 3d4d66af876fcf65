"""Serves the page to browsers, and refuses what did not come from the page itself.

On its own, Gradio answers requests of any page that is open in the user's browser, under any host
name, and accepts bodies of any length.
"""

import contextlib
import ipaddress
import logging
import os
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import uvicorn
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stn_jax.errors import UserError

MAX_UPLOAD_MEGABYTES = 5
_MAX_BODY = (MAX_UPLOAD_MEGABYTES + 1) * 1_000_000  # the file and what surrounds it


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises:
        UserError: the host is not this machine, or the port is not available.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(f"cannot serve on {host}:{port}: choose another --host") from error
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UserError(
            f"cannot serve on {host}:{port} ({reason}): choose another --port or another --host"
        ) from error


@contextlib.contextmanager
def serving(app: ASGIApp, listener: socket.socket, host: str) -> Iterator[threading.Thread]:
    """Serves an app in a thread while the context is open.

    Args:
        app: what is served.
        listener: from `listen`.
        host: the name of this machine that the user has given.
    """
    is_local = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
    guarded = OwnRequestsOnly(app, host if is_local else None)
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        # It would report the connections that are cut off here.
        logging.getLogger("uvicorn.error").disabled = True
        server.should_exit = server.force_exit = True
        thread.join(timeout=2)


class OwnRequestsOnly:
    """Middleware that lets only requests of the served page itself through, of bounded size.

    Any page in the user's browser can send requests to local servers. The browser then states that
    page's origin, or, if the page's host name resolves to this machine, that name.
    """

    def __init__(self, app: ASGIApp, local_name: str | None):
        """Wraps `app`, which is served under this name or localhost; None: under any name."""
        self._app = app
        self._local_name = local_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not (self._is_own_name(headers.get("host", "")) and _is_same_origin(headers)):
            answer = "This page answers only to itself, on the machine that serves it.\n"
            await PlainTextResponse(answer, 403)(scope, receive, send)
            return
        try:
            body = await _body(receive) if _stated_length(headers) <= _MAX_BODY else None
        except ClientDisconnect:
            return
        if body is None:
            answer = f"A request may have at most {_MAX_BODY:,} bytes.\n"
            await PlainTextResponse(answer, 413)(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    def _is_own_name(self, host: str) -> bool:
        if self._local_name is None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname
            return name in (self._local_name, "localhost") or (
                ipaddress.ip_address(name or "").is_loopback
            )
        except ValueError:
            return False


def _is_same_origin(headers: Headers) -> bool:
    return all(
        origin.partition("://")[2] == headers.get("host") for origin in headers.getlist("origin")
    )


def _stated_length(headers: Headers) -> float:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return float("inf")


async def _body(receive: Receive) -> bytes | None:
    """Returns a request's whole body, or None if it is too long.

    Gradio must not get a part of it: it never removes what it has stored of an incomplete file.

    Raises:
        ClientDisconnect: the browser has not sent all of it.
    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            return None
        more = message.get("more_body", False)
    return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Returns a function that hands out a body that was read already, and then what follows."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
