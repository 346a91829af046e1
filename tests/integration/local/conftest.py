"""Resources and a small application for runs of `up`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

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

Write = Callable[..., Path]


@pytest.fixture
def resource(tmp_path: Path) -> Write:
    """Return a function that writes a resource named `tiny`, and the application, and returns the resource's path.

    Its arguments replace fields of the spec, written as in YAML's flow style.
    """
    (tmp_path / "tiny.py").write_text(APPLICATION)

    def write(**fields: str) -> Path:
        spec = {
            "application": "tiny:application",
            "replicas": "1",
            "redis": "{managed: {shards: 1, replicas: 0}}",
            "drain": "{periodSeconds: 1}",
            **fields,
        }
        head = """\
            apiVersion: realtime-gateway.io/v1alpha1
            kind: RealtimeGateway
            metadata: {name: tiny}
            spec:
            """
        lines = "".join(f"  {name}: {value}\n" for name, value in spec.items())
        file = tmp_path / "gateway.yaml"
        replacement = tmp_path / "gateway.yaml.new"
        replacement.write_text(textwrap.dedent(head) + lines)
        replacement.replace(file)  # as editors do, and never half written
        return file

    return write
