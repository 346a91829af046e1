"""Plain spans as OTLP has them on the wire, written at once instead of by way of an object for each attribute.

The exporters of OpenTelemetry, over HTTP and over gRPC, make what they send by a function ``encode_spans`` of their
module. ``teach`` puts one in its place that encodes spans of ours here, and hands all others to the one that was there.
Before that it lets both encode the same span, and changes nothing unless they say the same: then, or where there is no
such function, an exporter gets spans in the SDK's form.

The numbers below are those of opentelemetry/proto/trace/v1/trace.proto, with Protocol Buffers' wire types.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState

from realtime_gateway.telemetry.plain_span import PlainSpan
from realtime_gateway.telemetry.plain_tracer import PlainTracer

Encode = Callable[[Sequence[Any]], Any]

_TIMES = struct.Struct("<BQBQ")  # 7: start, 8: end; fixed64
_DOUBLE = struct.Struct("<d")
_FIXED64 = struct.Struct("<Q")
_FLAGS = {is_remote: b"\x85\x01" + struct.pack("<I", flags) for is_remote, flags in ((False, 0x100), (True, 0x300))}
_KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
_SHORT = [bytes((number,)) for number in range(128)]
# Of names and words, which are few: templates, functions, constants.
_KEPT = 4096
_LONGEST_KEPT = 64  # characters; longer words are no constants
# Numbers that are kept as words are: most sizes and counts.
_SMALL = 512


def teach(exporters_module: Any, tracer: PlainTracer) -> bool:
    """Let the exporters of a module encode plain spans here; say whether they do."""
    there: Encode | None = getattr(exporters_module, "encode_spans", None)
    if there is None:
        return False
    if isinstance(there, partial):
        return True
    encode = partial(_encode, there)
    try:
        sample = [_sample(tracer)]
        if encode(sample) != there([span.readable() for span in sample]):
            return False
    except Exception:  # whatever another version of it does
        return False
    exporters_module.encode_spans = encode
    return True


class ReadableOnly(SpanExporter):
    """Hands spans of ours to an exporter in the SDK's form.

    Args:
        exporter: that knows no other.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As SpanExporter."""
        return self._exporter.export([one.readable() if isinstance(one, PlainSpan) else one for one in spans])

    def shutdown(self) -> None:
        """As SpanExporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As SpanExporter."""
        return self._exporter.force_flush(timeout_millis)


def _sample(tracer: PlainTracer) -> PlainSpan:
    """Return a span with one of everything."""
    state = TraceState([("vendor", "1")])
    parent = (1 << 127, 1 << 63, True, tracer.start_span("").get_span_context().trace_flags, state)
    said = {"a": "é", "b": True, "c": False, "d": 0, "e": 300, "f": -1, "g": 1.5, "h": ["x", "y"], "i": 2**40}
    span = PlainSpan(tracer, "a name", SpanKind.CONSUMER, said, parent, 1)
    span.moments = [("taken", 2)]
    span.links = (Link(SpanContext(3, 4, is_remote=True, trace_state=state)),)
    span.is_failed = True
    span.end_ns = 1 << 62
    return span


def _encode(there: Encode, spans: Sequence[Any]) -> Any:
    ours = [span for span in spans if type(span) is PlainSpan]
    if not ours:
        return there(spans)
    # All of them are of one tracer, so that what stands around them is the same for all.
    request = there([ours[0].readable()])
    scope = request.resource_spans[0].scope_spans[0]
    del scope.spans[:]
    scope.MergeFromString(b"".join([_span(span) for span in ours]))
    if len(ours) < len(spans):
        request.MergeFrom(there([span for span in spans if type(span) is not PlainSpan]))
    return request


def _span(span: PlainSpan) -> bytes:
    body = b"".join(
        (
            b"\x0a\x10",
            span.trace_id.to_bytes(16, "big"),
            b"\x12\x08",
            span.span_id.to_bytes(8, "big"),
            _state(b"\x1a", span.state) if span.state else b"",
            b"\x22\x08" + span.parent_id.to_bytes(8, "big") if span.parent_id else b"",
            _named(span.name, span.kind),
            _TIMES.pack(0x39, span.start_ns, 0x41, span.end_ns),
            *[
                _word(key, value) if type(value) is str else _number(key, value)
                for key, value in span.attributes.items()
            ],
            _others(span) if span.moments or span.links else b"",
            b"\x7a\x02\x18\x02" if span.is_failed else b"\x7a\x00",
            _FLAGS[span.parent_is_remote],
        )
    )
    return _field(b"\x12", body)


def _others(span: PlainSpan) -> bytes:
    return b"".join([_event(name, at) for name, at in span.moments] + [_link(link) for link in span.links])


@lru_cache(_KEPT)
def _named(name: str, kind: SpanKind) -> bytes:
    return _field(b"\x2a", _text(name)) + b"\x30" + _SHORT[_KINDS[kind]]


def _word(key: str, value: str) -> bytes:
    # What an application says of its spans may be long, and new each time.
    return _short_word(key, value) if len(value) <= _LONGEST_KEPT else _new_word(key, value)


def _new_word(key: str, value: str) -> bytes:
    return _field(b"\x4a", _key(key) + _field(b"\x12", _field(b"\x0a", _text(value))))


_short_word = lru_cache(_KEPT)(_new_word)


def _number(key: str, value: Any) -> bytes:
    if type(value) is float:
        return _double_head(key) + _DOUBLE.pack(value)
    if type(value) is int and 0 <= value < _SMALL:
        return _small(key, value)
    return _field(b"\x4a", _key(key) + _field(b"\x12", _value(value)))


@lru_cache(_KEPT)
def _small(key: str, value: int) -> bytes:
    return _field(b"\x4a", _key(key) + _field(b"\x12", _value(value)))


@lru_cache(_KEPT)
def _double_head(key: str) -> bytes:
    body = _key(key) + b"\x12\x09\x21"
    return b"\x4a" + _length(len(body) + 8) + body


@lru_cache(_KEPT)
def _key(key: str) -> bytes:
    return _field(b"\x0a", _text(key))


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + _length(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    if isinstance(value, str):
        return _field(b"\x0a", _text(value))
    return _field(b"\x2a", b"".join([_field(b"\x0a", _value(one)) for one in value]))


def _event(name: str, at_ns: int) -> bytes:
    return _field(b"\x5a", b"\x09" + _FIXED64.pack(at_ns) + _field(b"\x12", _text(name)))


def _link(link: Link) -> bytes:
    context = link.context
    body = b"\x0a\x10" + context.trace_id.to_bytes(16, "big") + b"\x12\x08" + context.span_id.to_bytes(8, "big")
    return _field(b"\x6a", body + b"\x35" + struct.pack("<I", 0x300 if context.is_remote else 0x100))


def _state(tag: bytes, state: TraceState) -> bytes:
    return _field(tag, _text(",".join([f"{key}={value}" for key, value in state.items()])))


def _text(text: str) -> bytes:
    # Half of a surrogate pair is nothing that UTF-8 can say, and the rest of the batch shall leave.
    return text.encode("utf-8", "replace")


def _field(tag: bytes, body: bytes) -> bytes:
    size = len(body)
    return tag + (_SHORT[size] if size < 128 else _length(size)) + body


def _length(number: int) -> bytes:
    """Return a number as a varint."""
    if number < 128:
        return _SHORT[number]
    groups = bytearray()
    while number >= 128:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)
