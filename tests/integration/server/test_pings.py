"""Pings: who is asked whether he is still there, and what counts as an answer."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from tests.integration.server.test_websocket import handshake_request, read_to_end
from tests.support.conditions import until
from tests.support.frames import RawClient, client_frame
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect


async def test_idle_clients_are_pinged_and_those_that_do_not_answer_are_dropped(applications):
    options = ("--ping-interval", "1", "--ping-timeout", "3")
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        async with connect(f"{it.websocket_url}/echo", ping_interval=None) as alive:
            with socket.create_connection(("127.0.0.1", it.port), timeout=10) as mute:
                mute.sendall(handshake_request("/echo"))
                received = await asyncio.to_thread(read_to_end, mute)
            assert b"\x89\x0c" in received, "no ping"
            await until(lambda: "disconnect 1006 no answer to a ping" in it.output)
            await alive.send("still here")
            assert await alive.recv() == "still here"
        assert it.metric('realtime_gateway_connections_closed_total{reason="ping_timeout"}') == 1


@pytest.mark.parametrize("answers", [True, False], ids=["what was asked", "something else"])
def test_a_client_lives_by_pongs_to_what_it_was_asked(applications, answers: bool):
    options = ("--ping-interval", "1", "--ping-timeout", "2")
    with (
        ServeProcess("conversations:application", *options, directory=applications) as it,
        RawClient(it.port, "/echo") as client,
    ):
        for _ in range(4):  # longer than it would be waited for
            opcode, payload = client.frame()
            assert (opcode, len(payload)) == (0x89, 12)
            client.send(client_frame(0x8A, payload if answers else payload[::-1]))
            if not answers:
                it.wait_for_output("disconnect 1006 no answer to a ping")
                return
        client.send(client_frame(0x81, b"still here"))
        assert client.frame() == (0x81, b"still here")


@pytest.mark.parametrize("goes_on", [True, False], ids=["goes on", "stops"])
def test_a_frame_that_arrives_slowly_keeps_its_client_for_as_long_as_it_arrives(applications, goes_on: bool):
    """A client can answer no ping amid a frame of its own."""
    options = ("--ping-interval", "1", "--ping-timeout", "1")
    with (
        ServeProcess("conversations:application", *options, directory=applications) as it,
        RawClient(it.port, "/echo") as client,
    ):
        frame = client_frame(0x82, b"x" * 60_000)
        begun, sent = time.monotonic(), 0
        while time.monotonic() - begun < 4:
            client.send(frame[sent : sent + 100])
            sent += 100
            time.sleep(0.05)
        if goes_on:
            client.send(frame[sent:])
            answer = client.frame()
            while answer[0] == 0x89:
                answer = client.frame()
            assert answer == (0x82, b"x" * 60_000)
        else:
            it.wait_for_output("disconnect 1006 no answer to a ping")
