"""Upstream methods that the server replaces or leans on are the ones it was tested with.

A new release of Daphne, autobahn or Twisted that changes one of them fails here, by name: read what changed, adapt the
server, and write the new versions' hashes with ``python -m tests.unit.gateway.server.test_upstream_pins``. Sources are
read, never imported, since importing them installs a reactor.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

PINS = Path(__file__).with_name("upstream_pins.json")
SERVER = Path(__file__).parents[4] / "gateway" / "realtime_gateway" / "server"

DAPHNE_SERVER = "daphne.server:Server"
DAPHNE_REQUEST = "daphne.http_protocol:WebRequest"
DAPHNE_FACTORY = "daphne.http_protocol:HTTPFactory"
DAPHNE_WEBSOCKET = "daphne.ws_protocol:WebSocketProtocol"
ADAPTER = "autobahn.twisted.websocket:WebSocketAdapterProtocol"
AUTOBAHN = "autobahn.websocket.protocol:WebSocketProtocol"
AUTOBAHN_SERVER = "autobahn.websocket.protocol:WebSocketServerProtocol"
REQUEST = "twisted.web.http:Request"
CHANNEL = "twisted.web.http:HTTPChannel"
NEGOTIATED = "twisted.web.http:_GenericHTTPChannelProtocol"
HTTP2 = "twisted.web._http2:H2Connection"
STREAM = "twisted.web._http2:H2Stream"
DEFLATE = "autobahn.websocket.compress_deflate:PerMessageDeflate"
DESCRIPTOR = "twisted.internet.abstract:FileDescriptor"
TCP_CONNECTION = "twisted.internet.tcp:Connection"
TCP_SERVER = "twisted.internet.tcp:Server"
TCP_PORT = "twisted.internet.tcp:Port"
REACTOR = "twisted.internet.asyncioreactor:AsyncioSelectorReactor"
UNIX_PORT = "twisted.internet.unix:Port"

# Our class → the upstream classes whose methods it may replace.
REPLACES = {
    "gateway_server:GatewayServer": [DAPHNE_SERVER],
    "channel:GatewayChannel": [CHANNEL],
    "strict_channel:StrictChannel": [CHANNEL],
    "channel:GatewayHTTPFactory": [DAPHNE_FACTORY],
    "http:GatewayRequest": [DAPHNE_REQUEST, REQUEST],
    "http2:NegotiatedProtocol": [NEGOTIATED],
    "http2:Http2Connection": [HTTP2],
    "http2_sending:SendingConnection": [HTTP2],
    "http2:Http2Request": [DAPHNE_REQUEST, REQUEST],
    "lean_protocol:LeanWebSocket": [DAPHNE_WEBSOCKET, ADAPTER, AUTOBAHN, AUTOBAHN_SERVER],
    "paced_websocket:PacedWebSocket": [DAPHNE_WEBSOCKET, ADAPTER, AUTOBAHN, AUTOBAHN_SERVER],
    "pinging_websocket:PingingWebSocket": [DAPHNE_WEBSOCKET, ADAPTER, AUTOBAHN, AUTOBAHN_SERVER],
    "prompt_transport:PromptTransport": [DESCRIPTOR, TCP_CONNECTION, TCP_SERVER],
    "deflate:Deflate": [DEFLATE],
    "websocket:GatewayWebSocket": [DAPHNE_WEBSOCKET, ADAPTER, AUTOBAHN, AUTOBAHN_SERVER],
}
# Methods that stay upstream's and that ours rely on, or that ours no longer call.
LEANS_ON = {
    DAPHNE_SERVER: ["listen_success", "check_headers_type", "log_action", "create_application", "handle_reply"],
    DAPHNE_REQUEST: [
        "__init__",
        "handle_reply",
        "finish",
        "connectionLost",
        "basic_error",
        "check_timeouts",
        "send_disconnect",
    ],
    AUTOBAHN: [
        "_connectionMade",
        "_dataReceived",
        "consumeData",
        "processData",
        "onMessageFrameBegin",
        "onFrameBegin",
        "onFrameData",
        "onFrameEnd",
        "onCloseFrame",
        "onCloseHandshakeTimeout",
        "sendCloseFrame",
        "dropConnection",
        "_fail_connection",
        "processControlFrame",
    ],
    DEFLATE: [
        "start_compress_message",
        "compress_message_data",
        "end_compress_message",
        "start_decompress_message",
        "decompress_message_data",
    ],
    AUTOBAHN_SERVER: ["succeedHandshake", "_connectionMade"],
    DESCRIPTOR: ["write", "doWrite", "loseConnection", "_maybePauseProducer", "_postLoseConnection"],
    TCP_PORT: ["doRead", "_fromListeningDescriptor", "loseConnection"],
    TCP_CONNECTION: ["writeSomeData", "doRead"],
    REACTOR: ["addReader", "removeReader", "_readOrWrite"],
    UNIX_PORT: ["_fromListeningDescriptor", "startListening", "connectionLost"],
    HTTP2: ["dataReceived", "endRequest", "pauseProducing", "resumeProducing", "_tryToWriteControlData"],
    STREAM: [
        "__init__",
        "_convertHeaders",
        "receiveDataChunk",
        "requestComplete",
        "windowUpdated",
        "flowControlBlocked",
        "pauseProducing",
        "resumeProducing",
    ],
    CHANNEL: [
        "allContentReceived",
        "rawDataReceived",
        "requestDone",
        "loseConnection",
        "pauseProducing",
        "resumeProducing",
    ],
}
DISTRIBUTIONS = {"daphne": "daphne", "autobahn": "autobahn", "twisted": "Twisted"}


@cache
def methods(path: Path, class_name: str) -> dict[str, str]:
    """Return the methods of a class and the source of each."""
    text = path.read_text()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            functions = [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
            return {item.name: ast.get_source_segment(text, item) or "" for item in functions}
    raise AssertionError(f"{path} has no class {class_name}")


def upstream(name: str) -> dict[str, str]:
    module, _, class_name = name.partition(":")
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return methods(Path(spec.origin), class_name)


def ours(name: str) -> dict[str, str]:
    module, _, class_name = name.partition(":")
    return methods(SERVER / f"{module}.py", class_name)


def replaced() -> set[str]:
    return {
        f"{theirs}.{method}"
        for mine, their_classes in REPLACES.items()
        for theirs in their_classes
        for method in set(ours(mine)) & set(upstream(theirs))
    }


def depended_on() -> list[str]:
    return sorted(replaced() | {f"{name}.{method}" for name, names in LEANS_ON.items() for method in names})


def fingerprint(name: str) -> str:
    """Return a hash of a method's source, or what is wrong."""
    class_name, _, method = name.rpartition(".")
    source = upstream(class_name).get(method)
    return "missing" if source is None else hashlib.sha256(source.encode()).hexdigest()[:16]


def distribution(name: str) -> str:
    return DISTRIBUTIONS[name.partition(".")[0]]


@pytest.mark.parametrize("name", depended_on())
def test_an_upstream_method_is_one_that_was_tested(name: str) -> None:
    """A release that leaves these methods alone needs no new pins; one that changes them needs to be read."""
    of = distribution(name)
    tested = json.loads(PINS.read_text())[of]
    differs = f"{name} of {of} {version(of)} differs from what was tested ({', '.join(tested)})"
    assert fingerprint(name) in {pins.get(name) for pins in tested.values()}, differs


def write() -> None:
    """Add the installed versions' hashes to the table."""
    pins = json.loads(PINS.read_text()) if PINS.exists() else {}
    for of in DISTRIBUTIONS.values():
        names = [name for name in depended_on() if distribution(name) == of]
        pins.setdefault(of, {})[version(of)] = {name: fingerprint(name) for name in names}
    PINS.write_text(json.dumps(pins, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(write())
