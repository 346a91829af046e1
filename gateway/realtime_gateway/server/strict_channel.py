"""Twisted's channel, without what it forgives or does twice: each request is read in one way, and answered once.

A proxy may read the same bytes in another way where RFC 9112 forbids them, and then takes one client's body for
another's request. So they are refused, and end their connection: what follows could not be trusted to be a request.
"""

from __future__ import annotations

from typing import Any

from realtime_gateway.server import installed_reactor  # noqa: F401 - for its effect: the choice of a reactor

# isort: split
from twisted.web import http

# What the log and the metric call a limit that no setting moves.
MALFORMED = "HTTP/1.1 syntax"
# Of a Content-Length: 64 bits, and more than Python makes a number of at once.
MOST_DIGITS = 19
# Of a header's name: Twisted keeps 10,000 of those it has seen for as long as the process lives.
MOST_NAME_BYTES = 256


class StrictChannel(http.HTTPChannel):
    """Reads requests; who inherits it refuses them.

    Attributes:
        is_refusing: whether a client has had its last answer, and what it still sends is dropped.
    """

    is_refusing = False

    def refuse_malformed(self, text: str) -> None:
        """Answer 400, or cut a response that has begun; ends the connection."""
        raise NotImplementedError

    def lineReceived(self, line: bytes) -> None:
        """Take a line of a head."""
        if line[:1] in (b" ", b"\t"):  # RFC 9112 section 5.2
            self.refuse_malformed("A line of the request's head begins with white space.")
        else:
            super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:
        """Take a header; say whether the request goes on."""
        if line.find(b":") > MOST_NAME_BYTES:
            self.refuse_malformed(f"The name of a header may have {MOST_NAME_BYTES} bytes.")
            return False
        received: bool = super().headerReceived(line)
        return received

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:
        """Refuse two lengths as Twisted does, and what it would overlook or fail at (RFC 9112 section 6)."""
        if header == b"Transfer-Encoding" and (data.lower() != b"chunked" or self._version != b"HTTP/1.1"):
            self.refuse_malformed(
                "The body of a request may be sent in chunks, with HTTP/1.1, and in no other encoding."
            )
            return False
        if header == b"Content-Length" and len(data) > MOST_DIGITS:
            self.refuse_malformed("The Content-Length is too long.")
            return False
        chosen: bool = super()._maybeChooseTransferDecoder(header, data)
        return chosen

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Answer so that the client can read it; Twisted would also do so amid a response, and again and again."""
        self.refuse_malformed("The request is malformed.")

    def allContentReceived(self) -> None:
        """A request is whole; one that was refused amid its last piece is no request any more."""
        if not self.is_refusing:
            super().allContentReceived()

    def _send100Continue(self) -> None:
        """Ask for the body, unless the client has had its answer."""
        if not self.is_refusing:
            super()._send100Continue()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Say whether the connection is kept; its options are separated by commas (RFC 9110 section 7.6.1)."""
        values = request.requestHeaders.getRawHeaders(b"connection", ())
        if any(option.strip().lower() == b"close" for value in values for option in value.split(b",")):
            request.responseHeaders.setRawHeaders(b"connection", [b"close"])
            return False
        kept: bool = super().checkPersistence(request, version)
        return kept
