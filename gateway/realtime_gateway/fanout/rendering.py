"""What a handler has rendered for one message: its content, and how a mailbox carries it to members that get it later.

A handler returns text, bytes, None for nothing, or content that the consumer's ``encode_json`` makes text of. One that
raises is logged and counted once, and nobody gets anything: no socket is closed for it.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from typing import Any, Protocol, SupportsIndex

from realtime_gateway.telemetry import kept, recorder, spans

logger = logging.getLogger("realtime_gateway.fanout")

Event = dict[str, Any]
Content = str | bytes | None


class Body(Protocol):
    """A message's bytes as the layer has received them."""

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has."""
        ...


class Outcome:
    """What one consumer class has made of one message.

    Attributes:
        content: text, bytes, or None when there is nothing to send.
        excluded: the channel that it is not for.
        payload: the content as bytes.
        is_binary: whether it is no text.
        cause: the span in which it was made, where that is recorded.
        frames: its bytes on the wire, by the encoding of the outboxes that take them.
    """

    __slots__ = ("cause", "content", "excluded", "frames", "is_binary", "payload")

    def __init__(self, content: Content, excluded: str | None, cause: spans.Cause | None = None) -> None:
        """Take what a handler has made.

        Raises:
            TypeError: it is neither text nor bytes.
            UnicodeEncodeError: it is text that UTF-8 cannot say, with half of a surrogate pair in it.
        """
        if not isinstance(content, str | bytes | None):
            raise TypeError(f"encode_json returned {type(content).__name__}; it has to return str or bytes")
        self.content = content
        self.is_binary = isinstance(content, bytes)
        self.payload = content.encode() if isinstance(content, str) else content or b""
        self.excluded = excluded
        self.cause = cause
        self.frames: dict[Hashable, bytes] = {}


Outcomes = Mapping[type, Outcome]


class RenderedEvent(dict[str, Any]):
    """An event that is rendered already, by consumer class; to its handler it is a dict like any other."""

    __slots__ = ("outcomes",)

    def __init__(self, event: Event, outcomes: Outcomes) -> None:
        super().__init__(event)
        self.outcomes = outcomes

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[type[Event], tuple[Event]]:
        """Be copied and pickled as the event alone: who changes a copy wants that one rendered."""
        return dict, (dict(self),)


class TracedRenderedEvent(spans.TracedMessage):
    """The same, of a message that is traced."""

    __slots__ = ("outcomes",)

    def __init__(self, event: spans.TracedMessage, outcomes: Outcomes) -> None:
        super().__init__(event, event.span, event.waits_since, event.crowd)
        self.outcomes = outcomes


class RenderedBody:
    """What goes into the mailboxes of members that cannot have a message at once."""

    __slots__ = ("_body", "_outcomes")

    def __init__(self, body: Body, outcomes: Outcomes) -> None:
        self._body = body
        self._outcomes = outcomes

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has."""
        event = self._body.decode()
        if isinstance(event, spans.TracedMessage):
            return TracedRenderedEvent(event, self._outcomes)
        return RenderedEvent(event, self._outcomes)


def outcome_in(event: Event, consumer: type) -> Outcome | None:
    """Return what has been rendered of an event for a consumer class; None when nothing has been yet."""
    if isinstance(event, RenderedEvent | TracedRenderedEvent):
        return event.outcomes.get(consumer)
    return None


def failed(consumer: type, handler: str, error: BaseException) -> None:
    """Log and count a handler that did not render."""
    recorder.fan_out_errors.add()
    kept.failure(f"{consumer.__name__}.{handler}", type(error).__qualname__, recorder.fan_out_errors)
    logger.error("%s.%s did not render: nobody gets this message", consumer.__qualname__, handler, exc_info=error)


def no_json(consumer: type, content: object) -> TypeError:
    """Return the error of a handler whose content nothing here can encode."""
    return TypeError(
        f"it returned {type(content).__name__}, and {consumer.__qualname__} has no encode_json; return str, bytes or "
        "None, or derive the class from AsyncJsonWebsocketConsumer or JsonWebsocketConsumer"
    )
