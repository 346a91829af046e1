"""HTTP over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable

import httpx
import pytest
from tests.integration.server.test_websocket import read_to_end, settled
from tests.support.serve_process import ServeProcess
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def test_a_request_is_answered(server: ServeProcess):
    response = httpx.get(server.url)
    assert (response.status_code, response.text) == (200, "hello")
    assert response.headers["server"] == "daphne"


def test_one_connection_carries_many_requests(server: ServeProcess):
    with httpx.Client() as client:
        assert [client.get(server.url).text for _ in range(5)] == ["hello"] * 5


def test_the_scope_is_complete(server: ServeProcess):
    with httpx.Client() as client:
        request = client.build_request(
            "POST", f"{server.url}/scope?a=b%20c", content=b"x", headers={"Under_Score": "1"}
        )
        scope = client.send(request).json()
    headers = dict(scope.pop("headers"))
    client_address = scope.pop("client")
    assert client_address[0] == "127.0.0.1"
    assert headers["content-length"] == "1"
    assert "under_score" not in headers
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/scope",
        "raw_path": "/scope",
        "root_path": "",
        "query_string": "a=b%20c",
        "server": ["127.0.0.1", server.port],
    }


@pytest.mark.parametrize(
    ("status", "phrase"),
    [(200, "OK"), (429, "Too Many Requests"), (451, "Unavailable For Legal Reasons"), (799, "Unknown")],
)
def test_a_status_comes_with_its_words(server: ServeProcess, status: int, phrase: str):
    response = httpx.get(f"{server.url}/status?status={status}")
    assert (response.status_code, response.reason_phrase) == (status, phrase)


@pytest.mark.parametrize("size", [0, 1, 8192, 1_000_000])
def test_a_body_arrives_whole(server: ServeProcess, size: int):
    assert sum(httpx.post(f"{server.url}/body", content=b"x" * size).json()) == size


def test_forwarded_headers_are_believed_only_when_told_to(server: ServeProcess, applications):
    headers = {"X-Forwarded-For": "203.0.113.7, 10.0.0.1", "X-Forwarded-Port": "4711", "X-Forwarded-Proto": "https"}
    scope = httpx.get(f"{server.url}/scope", headers=headers).json()
    assert (scope["client"][0], scope["scheme"]) == ("127.0.0.1", "http")
    with ServeProcess("conversations:application", "--proxy-headers", directory=applications) as believing:
        scope = httpx.get(f"{believing.url}/scope", headers=headers).json()
    assert (scope["client"], scope["scheme"]) == (["203.0.113.7", 4711], "https")


def test_an_application_that_fails_is_500(server: ServeProcess):
    assert httpx.get(f"{server.url}/fail").status_code == 500
    server.wait_for_output("RuntimeError: fails before responding")


def test_an_application_that_answers_nothing_is_500(server: ServeProcess):
    assert httpx.get(f"{server.url}/nothing").status_code == 500


def test_a_response_that_fails_midway_is_cut_so_that_nobody_takes_it_for_whole(server: ServeProcess):
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}/fail-midway")


def test_an_application_hears_that_its_client_has_left(server: ServeProcess):
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /wait-for-disconnect HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for_output("waiting")
    server.wait_for_output("http saw http.disconnect")


def test_a_response_is_produced_as_fast_as_its_client_reads(server: ServeProcess):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET /stream?count=2000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        server.wait_for_output("streamed 1\n")
        produced = settled_now(lambda: server.output.count("\nstreamed "))
        assert produced < 500, "nothing slows the application down"
        received = read_to_end(client)
    assert received.count(b"x") == 2000 * 65536


def test_a_forwarded_header_that_is_not_text_is_500_and_no_more(applications):
    with ServeProcess("conversations:application", "--proxy-headers", directory=applications) as it:
        with socket.create_connection(("127.0.0.1", it.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: \xff\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 500 ")
        assert httpx.get(it.url).text == "hello"


def test_a_response_that_takes_too_long_is_503(applications, tmp_path):
    with ServeProcess("conversations:application", "--http-timeout", "1", directory=applications) as it:
        response = httpx.get(f"{it.url}/slow?until={tmp_path / 'never'}", timeout=20)
    assert response.status_code == 503


@pytest.mark.parametrize(
    "request_head", [b"GET /\xc3\xa4 HTTP/1.1", b"GET /?\xc3\xa4 HTTP/1.1", b"G\xc3\xa4T / HTTP/1.1"]
)
def test_a_request_line_that_is_not_ascii_is_400(server: ServeProcess, request_head: bytes):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(request_head + b"\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_the_server_header_can_be_chosen_and_left_out(applications):
    with ServeProcess("conversations:application", "--server-name", "chat", directory=applications) as it:
        assert httpx.get(it.url).headers["server"] == "chat"
    with ServeProcess("conversations:application", "--no-server-name", directory=applications) as it:
        assert "server" not in httpx.get(it.url).headers


def test_the_root_path_is_in_the_scope(applications):
    with ServeProcess("conversations:application", "--root-path", "/chat", directory=applications) as it:
        assert httpx.get(f"{it.url}/scope").json()["root_path"] == "/chat"


def test_the_access_log_has_a_line_per_request(applications, tmp_path):
    log = tmp_path / "access.log"
    with ServeProcess("conversations:application", "--access-log", str(log), directory=applications) as it:
        httpx.get(f"{it.url}/scope?a=b")
        it.wait_until(log.read_text, "logging", 10)
    assert '"GET /scope?a=b" 200' in log.read_text()


def test_each_line_of_an_access_log_on_stdout_leaves_at_once_where_that_is_no_terminal(applications):
    environment = {"PYTHONUNBUFFERED": ""}
    with ServeProcess(
        "conversations:application", "--access-log", "-", directory=applications, environment=environment
    ) as it:
        httpx.get(f"{it.url}/scope?a=b")
        it.wait_for_output('"GET /scope?a=b" 200', 10)


PATH = "/status?status=404"


def test_the_access_log_may_be_json(applications, tmp_path):
    log = tmp_path / "access.log"
    options = ("--access-log", str(log), "--access-log-format", "json")
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        httpx.get(f"{it.url}{PATH}")
        with connect(f"{it.websocket_url}/close?code=4001") as client, pytest.raises(ConnectionClosed):
            client.recv()
        it.wait_until(lambda: "disconnected" in log.read_text(), "logging", 10)
    request, *rest = (json.loads(line) for line in log.read_text().splitlines())
    assert {request[name] for name in ("protocol", "event", "method", "path")} == {"http", "complete", "GET", PATH}
    assert (request["status"], request["bytes"]) == (404, 0)
    assert 0 <= request["seconds"] < 10
    assert request["time"].endswith("Z")
    assert [one["event"] for one in rest] == ["connecting", "connected", "disconnected"]
    assert {one["path"] for one in rest} == {"/close"}
    assert rest[-1]["code"] == 4001


def test_the_form_of_the_access_log_may_stand_in_the_resource(applications, tmp_path):
    resource = tmp_path / "gateway.json"
    spec = {"application": "conversations:application", "telemetry": {"accessLog": "json"}}
    head = {"apiVersion": "realtime-gateway.io/v1alpha1", "kind": "RealtimeGateway", "metadata": {"name": "chat"}}
    resource.write_text(json.dumps({**head, "spec": spec}))
    environment = {"REALTIME_GATEWAY_RESOURCE": str(resource)}
    with ServeProcess("conversations:application", directory=applications, environment=environment) as it:
        httpx.get(f"{it.url}{PATH}")
        it.wait_until(lambda: '"event": "complete"' in it.output, "logging", 10)


def test_it_runs_on_uvloop_and_sets_no_event_loop_policy(server: ServeProcess):
    facts = httpx.get(f"{server.url}/loop").json()
    assert facts["loop"].split(".")[0] == "uvloop"
    assert facts["policy"].startswith("asyncio.")


def test_it_runs_on_plain_asyncio_when_told_to(applications):
    with ServeProcess("conversations:application", "--loop", "asyncio", directory=applications) as it:
        facts = json.loads(httpx.get(f"{it.url}/loop").text)
    assert facts["loop"].split(".")[0] == "asyncio"


def settled_now(measure: Callable[[], int]) -> int:
    """Return what is measured once it has stayed the same for a while."""
    return asyncio.run(settled(measure))
