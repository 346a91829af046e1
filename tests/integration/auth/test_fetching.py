"""What a server answers that is slow, broken or hostile ends in time, as one kind of error."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from realtime_gateway.auth.fetching import MAX_DOCUMENT_BYTES, fetch

Behaviour = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers each connection by one behaviour; all of them end with the test."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.ended = threading.Event()
        self.behaviour: Behaviour = lambda client: client.sendall(OK)
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._listening.getsockname()[1]}/jwks"

    def _serve(self) -> None:
        while True:
            with suppress(OSError):
                client, _ = self._listening.accept()
                if self.ended.is_set():
                    client.close()
                    return
                with self._tls.wrap_socket(client, server_side=True) if self._tls else client as client:
                    client.recv(4000)
                    self.behaviour(client)

    def drip(self, *first: bytes) -> None:
        """Send something, and then a byte every now and then until nobody listens or the test is over."""

        def behaviour(client: socket.socket) -> None:
            for part in first:
                client.sendall(part)
            while not self.ended.wait(0.05):
                client.sendall(b" ")

        self.behaviour = behaviour

    def close(self) -> None:
        self.ended.set()
        socket.create_connection(self._listening.getsockname()).close()
        self._thread.join()
        self._listening.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with a certificate that this process trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made = Server(context)
    yield made
    made.close()


def answering(answer: bytes) -> Behaviour:
    return lambda client: client.sendall(answer)


def test_a_document_is_read(server: Server) -> None:
    assert fetch(server.url) == b"{}"


def test_a_document_is_read_over_tls(encrypted: Server) -> None:
    assert fetch(encrypted.url) == b"{}"


def test_a_certificate_that_nobody_vouches_for_is_refused(encrypted: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(encrypted.url)


BROKEN = {
    "it is no HTTP": b"hello\r\n\r\n",
    "a header has no end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "a chunk has no length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "it is elsewhere": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "it is too long": b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (MAX_DOCUMENT_BYTES + 1),
    "there is nothing": b"",
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_answer_is_an_error_of_the_system_where(what: str, server: Server) -> None:
    server.behaviour = answering(BROKEN[what])
    with pytest.raises(OSError):  # noqa: PT011  # their words are the library's; that it is this kind is what counts
        fetch(server.url)


@pytest.mark.parametrize("first", [[b"HTTP/1.1 200 OK\r\nX:"], [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]])
def test_an_answer_that_drips_is_cut(first: list[bytes], server: Server) -> None:
    server.drip(*first)
    with pytest.raises(OSError, match="took too long"):
        fetch(server.url, 0.3)


def test_an_answer_that_drips_over_tls_is_cut(encrypted: Server) -> None:
    encrypted.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    with pytest.raises(OSError, match="took too long"):
        fetch(encrypted.url, 0.3)
