"""Trace context on its way: as the W3C's headers from a client, as opaque bytes inside the layer's envelope.

A client may also put it into a message, where the site has asked for that: as the members ``traceparent`` and
``tracestate`` of a JSON object, beside whatever else is in it.

The bytes are a version, the trace id, the span id and the flags of ``traceparent``, and ``tracestate`` as text:

    0        1              17            25      26
    version  trace id (16)  span id (8)   flags   tracestate (ASCII, may be empty)

A message that is not traced carries none. Nothing here raises for what others have sent: context that cannot be read
is no context. Baggage is neither read nor handed on.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from opentelemetry.trace import SpanContext, TraceFlags, TraceState, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_FORMAT = struct.Struct(">B16s8sB")
_VERSION = 0
# What the W3C's recommendation asks everybody to hand on; a longer tracestate is left behind.
_TRACESTATE_BYTES = 512
# Longer than any traceparent of today's version, with room for what a later one may add.
_TRACEPARENT_BYTES = 128
_W3C = TraceContextTextMapPropagator()


def pack(context: SpanContext) -> bytes:
    """Return a span's context as the envelope carries it."""
    state = context.trace_state.to_header().encode("ascii", "ignore")
    head = _FORMAT.pack(
        _VERSION, context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"), context.trace_flags
    )
    return head + state if len(state) <= _TRACESTATE_BYTES else head


def unpack(data: bytes) -> SpanContext | None:
    """Return the context in an envelope; None when there is none that this version can read."""
    if len(data) < _FORMAT.size or data[0] != _VERSION:
        return None
    _, trace_id, span_id, flags = _FORMAT.unpack_from(data)
    state = data[_FORMAT.size :].decode("ascii", "ignore")
    context = SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        is_remote=True,
        trace_flags=TraceFlags(flags),
        trace_state=TraceState.from_header([state]) if state else None,
    )
    return context if context.is_valid else None


def from_request(headers: Iterable[tuple[bytes, bytes]], query_string: bytes) -> SpanContext | None:
    """Return the context that a handshake brings: in its headers, or in its query, since a browser sets no headers.

    Args:
        headers: names in lower case.
        query_string: undecoded.
    """
    header_list = list(headers)
    parents = [value.decode("latin1") for name, value in header_list if name == b"traceparent"]
    states = [value.decode("latin1") for name, value in header_list if name == b"tracestate"]
    if not parents and b"traceparent=" in query_string:
        query = parse_qs(query_string.decode("latin1"))
        parents, states = query.get("traceparent", []), query.get("tracestate", [])
    return _from_lists(parents, states)


def from_message(text: str) -> SpanContext | None:
    """Return the context that a JSON message brings."""
    try:
        message: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    parent = message.get("traceparent") if isinstance(message, dict) else None
    if not isinstance(parent, str):
        return None
    state = message.get("tracestate")
    return _from_lists([parent], [state] if isinstance(state, str) else [])


def _from_lists(parents: list[str], states: list[str]) -> SpanContext | None:
    if len(parents) != 1 or len(parents[0]) > _TRACEPARENT_BYTES:
        return None
    carrier = {"traceparent": parents}
    if states and len(",".join(states)) <= _TRACESTATE_BYTES:
        carrier["tracestate"] = states
    context = get_current_span(_W3C.extract(carrier)).get_span_context()
    return context if context.is_valid else None
