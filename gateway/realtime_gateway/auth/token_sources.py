"""Where in a handshake a token may stand. A browser can set no header of a WebSocket, hence the other places.

Header()        Authorization: Bearer <token>
Subprotocol()   new WebSocket(url, ["bearer", token]); the token never comes back in the answer
Query()         wss://…/?token=<token>; taken out of the scope, but proxies on the way may log it
Cookie("jwt")   a browser sends it along for any page: validate origins, or check CSRF
FirstMessage()  the first message of the open WebSocket, plain or as {"token": …}
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, unquote_plus, urlencode

from django.http import parse_cookie

from realtime_gateway.auth.identity import Rejected
from realtime_gateway.security.denial import Reason, Scope

# Nothing that an issuer means to be sent in a header is longer; it bounds what is spent on a stranger.
MAX_TOKEN_CHARACTERS = 8192


@dataclass(frozen=True)
class Token:
    """A token that is never printed.

    Attributes:
        value: the token itself.
        chosen_subprotocol: what the handshake must be answered with, or None.
    """

    value: str = field(repr=False)
    chosen_subprotocol: str | None = None

    def __post_init__(self) -> None:
        if not self.value or len(self.value) > MAX_TOKEN_CHARACTERS:
            raise Rejected(Reason.TOKEN_MALFORMED, f"its token has {len(self.value)} characters")
        if not self.value.isascii() or not self.value.isprintable():
            raise Rejected(Reason.TOKEN_MALFORMED, "its token has characters that no token has")


class TokenSource(Protocol):
    """One place to look.

    Raises:
        Rejected: there is something in the place that is no token.
    """

    def find(self, scope: Scope) -> Token | None:
        """Return the token, and take it out of the scope where that is read and logged by others."""


@dataclass(frozen=True)
class Header:
    """A header with a keyword before the token, as RFC 6750 section 2.1 has it.

    Attributes:
        keywords: any of them may stand before the token; () is a header that holds the token alone.
        name: the header's, in any case.
    """

    keywords: tuple[str, ...] = ("Bearer",)
    name: str = "authorization"

    def find(self, scope: Scope) -> Token | None:
        """Look for the keyword, in any case."""
        header = self.name.lower().encode()
        found = [value.decode("latin1").strip() for name, value in scope["headers"] if name == header]
        tokens = self._behind_keywords(found) if self.keywords else found
        if len(tokens) > 1 or any(" " in token for token in tokens):
            raise Rejected(Reason.TOKEN_MALFORMED, f"its {self.name} header holds more than one token")
        return Token(tokens[0]) if tokens else None

    def _behind_keywords(self, values: list[str]) -> list[str]:
        wanted = {keyword.lower() for keyword in self.keywords}
        parts = [value.partition(" ") for value in values]
        return [rest.strip() for keyword, _, rest in parts if keyword.lower() in wanted]


@dataclass(frozen=True)
class Query:
    """A parameter of the query string."""

    parameter: str = "token"

    def find(self, scope: Scope) -> Token | None:
        """Take the parameter out, in the server's own scope, whose query string access logs write."""
        text = scope.get("query_string", b"").decode("latin1")
        if self.parameter not in unquote_plus(text):
            return None
        pairs = parse_qsl(text, keep_blank_values=True)
        found = [value for name, value in pairs if name == self.parameter]
        scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != self.parameter]).encode()
        if len(found) > 1:
            raise Rejected(Reason.TOKEN_MALFORMED, "its query string holds more than one token")
        return Token(found[0]) if found else None


@dataclass(frozen=True)
class Subprotocol:
    """The offered subprotocol after a marker; the answer is the marker, unless the consumer chooses another."""

    marker: str = "bearer"

    def find(self, scope: Scope) -> Token | None:
        """Take marker and token out of what the consumer can choose from."""
        offered = list(scope.get("subprotocols") or ())
        if self.marker not in offered:
            return None
        at = offered.index(self.marker)
        found, left = offered[at + 1 : at + 2], [*offered[:at], *offered[at + 2 :]]
        scope["subprotocols"] = left
        rest = [(name, value) for name, value in scope["headers"] if name != b"sec-websocket-protocol"]
        scope["headers"] = [*rest, *([(b"sec-websocket-protocol", ", ".join(left).encode())] if left else [])]
        if not found or self.marker in left:
            raise Rejected(Reason.TOKEN_MALFORMED, f"its subprotocols are not {self.marker} and one token")
        return Token(found[0], self.marker)


@dataclass(frozen=True)
class Cookie:
    """A cookie."""

    name: str

    def find(self, scope: Scope) -> Token | None:
        """Read all Cookie headers: HTTP/2 may split them."""
        header = "; ".join(value.decode("latin1") for name, value in scope["headers"] if name == b"cookie")
        value = parse_cookie(header).get(self.name)
        return Token(value) if value else None


@dataclass(frozen=True)
class FirstMessage:
    """The first message, which the middleware reads itself: it accepts the WebSocket, and waits.

    Attributes:
        within_seconds: how long it waits before it closes with 4401.
    """

    within_seconds: float = 10.0

    def find(self, scope: Scope) -> Token | None:
        """Return None: it is not in the handshake."""
        return None

    @staticmethod
    def read(text: str | None) -> Token:
        """Return the token of a message."""
        if text is None or len(text) > 2 * MAX_TOKEN_CHARACTERS:
            raise Rejected(Reason.TOKEN_MALFORMED, "its first message is no text, or too long for a token")
        if not text.startswith("{"):
            return Token(text.strip())
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise Rejected(Reason.TOKEN_MALFORMED, "its first message is no JSON") from None
        token = content.get("token")
        if not isinstance(token, str):
            raise Rejected(Reason.TOKEN_MALFORMED, 'its first message has no "token"')
        return Token(token)


def find_token(sources: Iterable[TokenSource], scope: Scope) -> Token | None:
    """Return the first token, after every place has been looked at, so that none is left in the scope.

    Raises:
        Rejected: what stands in one of them is no token, or two of them hold different ones.
    """
    found: list[Token] = []
    rejected: Rejected | None = None
    for source in sources:
        try:
            token = source.find(scope)
        except Rejected as error:
            rejected = rejected or error
        else:
            found += [token] if token is not None else []
    if rejected is not None:
        raise rejected
    if len({token.value for token in found}) > 1:
        raise Rejected(Reason.TOKEN_MALFORMED, "it brings two tokens")
    return next((token for token in found if token.chosen_subprotocol), found[0] if found else None)
