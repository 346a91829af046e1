"""Secrets beside a resource: `up` writes them as files, processes follow them, and they stand nowhere else."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import redis
from cryptography.fernet import InvalidToken
from tests.integration.local.secret_site import JWT_KEY, KEY, OTHER_JWT_KEY, OTHER_KEY, PASSWORD, Site, room, token
from tests.support.pages import get
from tests.support.redis_process import RedisProcess, redis_server_program
from tests.support.up_process import UpProcess, until
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection

from realtime_gateway.layer.serializers import Serializer

pytestmark = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")

PROCESSES = ("gateway", "gateway", "worker")
SPOKEN = "sentinel-spoken-word-0b5e"
# What each process says when it has taken another content of the file of encryption keys.
KEYS_CHANGED = "encryption-keys has changed"
JWT_KEY_CHANGED = re.compile(r"^(gateway-\d) \| .*jwt-key has changed", re.M)
WEBSOCKETS = 'realtime_gateway_connections{protocol="websocket"}'
SETTLING = "realtime_gateway_layer_key_settling"
UNDECODABLE = 'realtime_gateway_layer_dropped_total{reason="undecodable"}'
FERNET_TOKEN = rb"gAAAA[\w=-]+"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with RedisProcess("--requirepass", PASSWORD) as server:
        yield Site(tmp_path, server)


@contextmanager
def one_in_each_gateway(up: UpProcess, given: str) -> Iterator[tuple[ClientConnection, ClientConnection]]:
    """Two clients of different processes, of as many as it takes; the others have gone."""
    with room(up, given) as one:
        before = metrics(up, WEBSOCKETS)
        for _ in range(100):
            with room(up, given) as other:
                if 2 not in metrics(up, WEBSOCKETS):
                    yield one, other
                    return
            until(lambda: metrics(up, WEBSOCKETS) == before, 10, "the other one has gone")
    raise AssertionError("all of them are in one process")


def refused(up: UpProcess, given: str) -> bool:
    try:
        with room(up, given):
            return False
    except InvalidStatus as error:
        return error.response.status_code == 401


def hear(client: ClientConnection, word: str) -> None:
    assert client.recv(timeout=10) == word


def say(word: str, *clients: ClientConnection) -> None:
    """The first says a word, which all of them hear."""
    clients[0].send(word)
    for client in clients:
        hear(client, word)


def both_say(word: str, one: ClientConnection, other: ClientConnection) -> set[str]:
    """Return what each of them has said, and both have heard."""
    say(f"{word}, by one", one, other)
    say(f"{word}, by the other", other, one)
    return {f"{word}, by one", f"{word}, by the other"}


def talk_until(condition: Callable[[], bool], *clients: ClientConnection) -> None:
    """All of them hear every number that the first one says until something holds."""
    numbers = itertools.count()

    def holds() -> bool:
        say(str(next(numbers)), *clients)
        return condition()

    until(holds, 30, "what was talked for")


def read_with(site: Site, key: str) -> set[str]:
    """The texts in Redis's streams that a key decrypts."""
    serializer, texts = Serializer(symmetric_encryption_keys=[key]), set()
    with site.server.new_client(password=PASSWORD) as client:
        entries = [entry for stream in client.scan_iter(_type="stream") for _, entry in client.xrange(stream)]
    encrypted = [found for entry in entries for value in entry.values() for found in re.findall(FERNET_TOKEN, value)]
    assert encrypted
    for text in encrypted:
        with suppress(InvalidToken):
            texts.add(serializer.decode(serializer.open(text))["text"])
    return texts


@contextmanager
def running(site: Site) -> Iterator[UpProcess]:
    with UpProcess(site.write(), environment=site.environment) as up:
        up.wait_until_ready()
        yield up


def shown_by_processes(up: UpProcess) -> dict[str, bytes]:
    """Command lines and environments of all processes of a run, as anybody of this user reads them."""
    found = {}
    processes = [psutil.Process(up.process.pid), *psutil.Process(up.process.pid).children(recursive=True)]
    for process in processes:
        for what in ("cmdline", "environ"):
            found[f"{what} of {process.pid}"] = Path(f"/proc/{process.pid}/{what}").read_bytes()
    assert len(found) >= 2 * 4, "up, two gateways and a worker"
    return found


def admin_ports(up: UpProcess) -> set[str]:
    """Those of the gateways and of the worker."""
    ports = set()
    for process in up.children().values():
        words = process.cmdline()
        ports |= {words[index + 1] for index, word in enumerate(words) if word == "--admin-port"}
        ports |= {port for port in [process.environ().get("REALTIME_GATEWAY_ADMIN_PORT", "")] if port}
    assert len(ports) == len(PROCESSES)
    return ports


def metrics(up: UpProcess, sample: str) -> list[float]:
    """What each process says of a sample."""
    pages = [get(f"http://127.0.0.1:{port}/metrics").text for port in admin_ports(up)]
    return [float(value) for page in pages for value in re.findall(rf"^{re.escape(sample)} (\S+)$", page, re.M)]


def answered(url: str) -> bytes:
    answer = get(url)
    assert answer.status, f"nothing answers at {url}"
    return answer.body


def shown_by_pages(up: UpProcess) -> dict[str, bytes]:
    """What the console and the admin ports answer."""
    console = up.wait_for(r"console: (http://\S+)").group(1).rstrip("/")
    ports = admin_ports(up)
    urls = [f"{console}/api/{name}" for name in ("state", "traces", "ring")] + [up.url, f"{up.url}fails/"]
    urls += [f"http://127.0.0.1:{port}/{name}" for port in ports for name in ("healthz", "metrics", "traces")]
    pages = {url: answered(url) for url in urls}
    ids = set(re.findall(rb'"trace_id": "([0-9a-f]{32})"', pages[f"{console}/api/traces"]))
    for trace_id in sorted(ids)[:20]:
        url = f"{console}/api/traces?trace_id={trace_id.decode()}"
        pages[url] = answered(url)
    return pages


def shown_in_files(up: UpProcess) -> dict[str, bytes]:
    """Output, logs and the files of the run but those with its secrets."""
    secrets = up.directory / "tiny" / "secrets"
    files = [file for file in up.directory.rglob("*") if file.is_file() and not file.is_relative_to(secrets)]
    assert any("logs" in file.parts for file in files)
    return {str(file): file.read_bytes() for file in [*files, up.output, up.errors]}


def logged(up: UpProcess) -> set[str]:
    """The errors of the site that stand in the logs: `up` itself shows only the first lines of many at once."""
    logs = "".join(file.read_text() for file in (up.directory / "tiny" / "logs").iterdir())
    return set(re.findall(r"this \w+ fails", logs))


def forms(*words: str) -> dict[str, bytes]:
    """Each secret as it is, and as programs write it: base64, the key that Fernet makes of it, the end of a token."""
    found = {}
    for word in words:
        found[word] = word.encode()
        found[f"{word} in base64"] = base64.b64encode(word.encode()).rstrip(b"=")[:-1]
        digest = hashlib.sha256(word.encode())
        found[f"{word} as a Fernet key"] = base64.urlsafe_b64encode(digest.digest())
        found[f"{word} in hex"] = digest.hexdigest().encode()
        if word.count(".") == 2:
            found["a token's signature"] = word.rpartition(".")[2].encode()
    return found


def test_no_secret_stands_in_a_command_an_environment_a_log_a_metric_a_trace_a_page_or_a_file_for_others(
    site: Site,
) -> None:
    good, forged = token(), token("k" * 32)
    with running(site) as up:
        with room(up, good) as one, room(up, good) as other:
            for client in (one, other):
                client.send(SPOKEN)
                for listener in (one, other):
                    hear(listener, SPOKEN)
            one.send("boom")
            with pytest.raises(ConnectionClosedError) as ended:
                one.recv(timeout=10)
            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1011
            assert refused(up, forged)
            assert refused(up, good + "x")
            assert get(f"{up.url}fails/").status == 500
            until(lambda: logged(up) >= {"this view fails", "this consumer fails"}, 10, "both errors logged")
            shown: dict[str, bytes] = {**shown_by_processes(up), **shown_by_pages(up), **shown_in_files(up)}
            with redis.Redis(port=site.server.port, password=PASSWORD) as client:
                kept = {str(key): client.dump(key) or b"" for key in client.scan_iter()}
            assert any("room" in key for key in kept)
        pages = b"".join(shown.values())
        for sign in (
            b"realtime_gateway_connections",
            b"this consumer fails",
            b'"trace_id"',
            b"REALTIME_GATEWAY_SECRETS",
        ):
            assert sign in pages, f"{sign!r} is nowhere: what should be searched is not there"
        found = [
            f"{name} in {where}"
            for name, form in forms(PASSWORD, JWT_KEY, KEY, good, forged).items()
            for where, text in shown.items()
            if form in text
        ]
        assert not found
        assert not [key for key, value in kept.items() if SPOKEN.encode() in value], "messages in Redis are encrypted"
        state = up.directory / "tiny"
        modes = {file: file.lstat().st_mode & 0o777 for file in state.rglob("*") if not file.is_symlink()}
        assert {file.name for file in modes} >= {"jwt-key", "encryption-keys", "main"}
        secrets = state / "secrets"
        assert [file for file, mode in modes.items() if file.is_relative_to(secrets) and mode & 0o077] == []
        assert state.stat().st_mode & 0o777 == 0o700, "whatever else is in it, nobody else gets there"


def test_keys_and_passwords_are_exchanged_in_the_file_while_clients_talk(site: Site) -> None:
    old, new = token(JWT_KEY), token(OTHER_JWT_KEY)
    with running(site) as up:
        pids = {name: process.pid for name, process in up.children().items()}
        with one_in_each_gateway(up, old) as (one, other):
            assert both_say("before", one, other) <= read_with(site, KEY)
            assert not read_with(site, OTHER_KEY)
            said = len(up.text)
            site.write(OTHER_JWT_KEY, f"{OTHER_KEY}\n{KEY}\n")
            up.wait_for("the secrets of the file are in use from now on", after=said)
            talk_until(lambda: up.text[said:].count(KEYS_CHANGED) == len(PROCESSES), one, other)
            talk_until(lambda: metrics(up, SETTLING) == [0] * len(PROCESSES), one, other)
            newer = both_say("settled", one, other)
            said = len(up.text)
            site.write(OTHER_JWT_KEY, OTHER_KEY)
            talk_until(lambda: up.text[said:].count(KEYS_CHANGED) == len(PROCESSES), one, other)
            newer |= both_say("without the old key", one, other)
            assert newer <= read_with(site, OTHER_KEY)
            assert not newer & read_with(site, KEY)
            assert metrics(up, UNDECODABLE) == [0] * len(PROCESSES)
            # A gateway looks at this key when somebody brings a token, and which of them a client gets is chance.
            until(
                lambda: refused(up, old) and len(set(JWT_KEY_CHANGED.findall(up.text))) == 2,
                30,
                "each of the gateways has refused the old token",
            )
            with room(up, new) as third:
                say("hello", third, one, other)
            said = len(up.text)
            site.write("short", "")
            up.wait_for("encryption-keys, with .*: it is empty.* The one in use stays in use", after=said)
            with room(up, new) as third:
                say("still here", third, one, other)
            up.wait_for("jwt-key, with the key that JWTs are checked with: .* The one in use stays in use", after=said)
        assert {name: process.pid for name, process in up.children().items()} == pids, "nothing was restarted"


@pytest.mark.parametrize("name", ["site", "redis"])
def test_a_secret_that_is_missing_is_named_before_anything_starts(site: Site, name: str) -> None:
    with UpProcess(site.write(without=name), environment=site.environment) as up:
        assert up.wait_for_end() == 1
        assert f"the resource refers to the Secret {name}, and the file has none of that name" in up.error_text
        assert "kind Secret" in up.error_text
        assert not up.left_behind()


def test_an_edit_that_takes_a_secret_away_is_not_followed(site: Site) -> None:
    with running(site) as up:
        said = len(up.text)
        site.write(without="site")
        up.wait_for("the edit is not followed, and what runs stays as it was", after=said)
        assert "the Secret site" in up.text[said:]
        with room(up, token()) as client:
            client.send("still here")
            hear(client, "still here")


def test_a_password_that_the_server_does_not_know_is_told_without_it(site: Site) -> None:
    with redis.Redis(port=site.server.port, password=PASSWORD) as client:
        client.config_set("requirepass", "another-one")
    with UpProcess(site.write(), environment=site.environment) as up:
        assert up.wait_for_end() == 1
        assert "external Redis of shard main" in up.error_text
        assert "invalid username-password pair" in up.error_text
        assert "correct spec.redis.external.hosts" in up.error_text
        assert PASSWORD not in up.error_text + up.text
        assert not up.left_behind()
