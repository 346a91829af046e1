"""Clients that cut their connection while the server reads nothing of it: it is over for the server as well."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.conditions import wait_until
from tests.support.frames import RawClient, client_frame
from tests.support.serve_process import ServeProcess

APPLICATIONS = Path(__file__).parent / "applications"
WEBSOCKETS = 'realtime_gateway_connections{protocol="websocket"}'


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_reset_while_reading_is_paused_is_met_when_it_goes_on(loop: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    # No ping finds out, so that the reader alone has to.
    words = ("conversations:application", "--loop", loop, "--ping-interval", "0")
    with ServeProcess(*words, directory=APPLICATIONS) as server:
        client = RawClient(server.port, f"/busy?until={gate}")
        client.socket.settimeout(1)
        with suppress(TimeoutError):
            while True:
                client.socket.sendall(client_frame(0x82, b"x" * 10_000))
        client.reset()
        gate.touch()
        wait_until(lambda: server.metric(WEBSOCKETS) == 0, seconds=30)
