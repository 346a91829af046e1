"""Reading a small document of a server that may be slow, broken or hostile. For a thread."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from contextlib import suppress
from typing import Any

SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024


def fetch(url: str, seconds: float = SECONDS) -> bytes:
    """Read a document, bounded in time and bytes.

    Redirects are not followed: what is wanted is where it is said to be, and nowhere else.

    Raises:
        OSError: it cannot be had, or not in time.
    """
    deadline = _Deadline()
    opener = urllib.request.build_opener(_NoRedirects(), *deadline.handlers())
    timer = threading.Timer(seconds, deadline.pass_)
    timer.daemon = True
    timer.start()
    try:
        with opener.open(url, timeout=seconds) as response:
            document: bytes = response.read(MAX_DOCUMENT_BYTES + 1)
    except http.client.HTTPException as error:
        raise OSError(f"the answer is no HTTP ({type(error).__name__})" if not deadline.passed else TOO_LATE) from error
    except OSError as error:
        # Cut by us, or by the socket itself, whose limit is the same for one silence: either may be first.
        if deadline.passed or isinstance(getattr(error, "reason", error), TimeoutError):
            raise OSError(TOO_LATE) from error
        raise
    finally:
        timer.cancel()
    if deadline.passed:
        raise OSError(TOO_LATE)
    if len(document) > MAX_DOCUMENT_BYTES:
        raise OSError(f"it is longer than {MAX_DOCUMENT_BYTES} bytes")
    return document


TOO_LATE = "the answer took too long"


class _Deadline:
    """Cuts connections when time is up: a timeout of a socket begins anew with each byte that comes."""

    def __init__(self) -> None:
        self.passed = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def pass_(self) -> None:
        with self._lock:
            self.passed = True
            for one in self._sockets:
                _cut(one)

    def hold(self, made: socket.socket) -> None:
        with self._lock:
            self._sockets.append(made)
            if self.passed:
                _cut(made)

    def handlers(self) -> tuple[urllib.request.BaseHandler, ...]:
        deadline = self

        class Plain(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                deadline.hold(self.sock)

        class Encrypted(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                deadline.hold(self.sock)

        class PlainHandler(urllib.request.HTTPHandler):
            def http_open(self, request: urllib.request.Request) -> Any:
                return self.do_open(Plain, request)

        class EncryptedHandler(urllib.request.HTTPSHandler):
            def https_open(self, request: urllib.request.Request) -> Any:
                return self.do_open(Encrypted, request)

        return PlainHandler(), EncryptedHandler()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _cut(one: socket.socket) -> None:
    """End both directions, past TLS, which would first say so: the thread that reads wakes up."""
    with suppress(OSError):
        socket.socket.shutdown(one, socket.SHUT_RDWR)
