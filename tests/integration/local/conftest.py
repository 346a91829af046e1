"""Resources and a small application for runs of `up`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.support.replaced_file import put
from tests.support.up_process import UpProcess
from websockets.sync.client import connect

APPLICATION = '''
"""Echoes WebSocket frames, and answers HTTP with what `up` has set in the environment."""
import json, os

NAMES = ("REALTIME_GATEWAY_PROCESS", "REALTIME_GATEWAY_CONFIG", "REALTIME_GATEWAY_RESOURCE", "CACHE_URL")


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "http":
        body = json.dumps({name: os.environ.get(name) for name in NAMES}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": event["text"]})
'''

HEAD = """\
apiVersion: realtime-gateway.io/v1alpha1
kind: RealtimeGateway
metadata: {name: tiny}
spec:
"""
SENTINEL = "{managed: {shards: 1, replicas: 1, sentinels: 3}}"

Write = Callable[..., Path]


def writer(directory: Path) -> Write:
    """Return a function that writes a resource named `tiny` into ``directory`` and returns its path.

    Its arguments replace fields of the spec, written as in YAML's flow style. The application lies beside it.
    """
    (directory / "tiny.py").write_text(APPLICATION)

    def write(**fields: str) -> Path:
        spec = {
            "application": "tiny:application",
            "replicas": "1",
            "redis": "{managed: {shards: 1, replicas: 0}}",
            "drain": "{periodSeconds: 1}",
            **fields,
        }
        return put(directory / "gateway.yaml", HEAD + "".join(f"  {name}: {value}\n" for name, value in spec.items()))

    return write


@pytest.fixture
def resource(tmp_path: Path) -> Write:
    return writer(tmp_path)


def told(up: UpProcess) -> dict[str, str | None]:
    """Return what the application knows of its environment."""
    with urlopen(up.url, timeout=10) as response:
        answer: dict[str, str | None] = json.load(response)
    return answer


def serving(up: UpProcess) -> set[str | None]:
    """Return the names of the gateways that answer, from enough new connections to meet each."""
    return {told(up)["REALTIME_GATEWAY_PROCESS"] for _ in range(40)}


def echoes(up: UpProcess) -> bool:
    """Tell whether a WebSocket works."""
    with connect(f"ws://127.0.0.1:{up.port}/") as client:
        client.send("hello")
        return client.recv(timeout=10) == "hello"
