"""The audit of dependencies, with advisories on a loopback address."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any

from tests import dependency_audit
from tests.support.free_port import free_port

ADVISORY = {
    "id": "PYSEC-2026-1",
    "summary": "It can be talked into anything.",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "twisted", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        }
    ],
}


@contextmanager
def advisories(vulnerable: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Serve advisories about one package; yields the address, and the versions that were asked about."""
    asked: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = question["package"]["name"].lower()
            asked[name] = question["version"]
            answer = json.dumps({"vulns": [ADVISORY]} if name == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def audit(url: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "tests.dependency_audit", url]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=200)


def test_every_package_is_asked_about_and_a_known_vulnerability_fails() -> None:
    with advisories(vulnerable="twisted") as (url, asked):
        done = audit(url)
    assert done.returncode == 1
    assert "twisted" in done.stdout.lower()
    assert ADVISORY["id"] in done.stdout
    assert asked["redis"] == version("redis")
    assert asked["channels"] == version("channels")
    assert "realtime-gateway" not in asked, "which nobody has advisories about"


def test_where_nothing_is_known_it_passes() -> None:
    with advisories(vulnerable="none") as (url, _):
        done = audit(url)
    assert (done.returncode, "No known vulnerabilities found" in done.stderr) == (0, True)


def test_without_advisories_it_is_skipped_by_name() -> None:
    done = audit(f"http://127.0.0.1:{free_port()}/v1/query")
    assert done.returncode == 0
    assert done.stdout.startswith("skipped: no audit of dependencies, since http://127.0.0.1:")


def test_what_is_asked_about_is_what_is_installed_but_ourselves() -> None:
    found = dict(line.split("==") for line in dependency_audit.installed())
    assert found["Django"] == version("Django")
    assert "realtime-gateway" not in found
