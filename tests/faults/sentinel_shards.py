"""Shards with replicas, the Sentinels that watch them, and what the Sentinels said and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from tests.support.conditions import wait_until
from tests.support.redis_process import RedisProcess, SentinelProcess

# As the operator and `up` have it. A Sentinel begins one connection a second: within one second it may not even have
# tried to reach a new primary, and take it for dead.
DOWN_AFTER_MS = 2000
FAILOVER_TIMEOUT_MS = 3000
READY_SECONDS = 60
# What the operator and `up` give their shards: a primary that nobody follows any more refuses writes.
WARY = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "4")
# With one replica they leave that away, and so what only the primary has may be acknowledged.
TRUSTING = ("--min-replicas-to-write", "0")
# A machine with other work holds up Sentinels and servers in turn; of many failovers, one may take longer than senders
# wait by default.
PATIENT = {"send_timeout": 30}
_OPTIONS = ("--repl-diskless-sync-delay", "0")
_WATCHED = ("+sdown", "-sdown", "+odown", "+try-failover", "+elected-leader", "+switch-master")


@dataclass(frozen=True)
class Said:
    """An event of a Sentinel, on the monotonic clock of this machine."""

    at: float
    event: str
    shard: str


class Shard:
    """One primary with its replicas; who is the primary changes."""

    def __init__(self, name: str, replicas: int, options: tuple[str, ...], tls: Path | None) -> None:
        self.name = name
        self.servers = [RedisProcess(*_OPTIONS, *options, tls=tls) for _ in range(1 + replicas)]
        self.primary = self.servers[0]

    @property
    def replicas(self) -> list[RedisProcess]:
        return [server for server in self.servers if server is not self.primary]

    def start(self) -> None:
        self.primary.start()
        for replica in self.replicas:
            replica.start_as_replica_of(self.primary)

    def stop_replicating(self) -> None:
        """Let the replicas stand still, without a connection: what is written from now on, only the primary has."""
        for replica in self.replicas:
            replica.pause()
        self.primary.kill_connections("replica")

    def kill_primary(self) -> RedisProcess:
        """`kill -9` it, and let the replicas go on, if they stood still; return the server that was killed."""
        self.primary.kill()
        for replica in self.replicas:
            replica.resume()
        return self.primary

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


class SentinelShards:
    """Shards under the watch of three Sentinels; a context manager.

    Args:
        names: of the shards.
        replicas: of each primary.
        sentinels: how many.
        options: of each server.
        tls: a directory with certificates; servers and Sentinels then speak TLS only, also among themselves.

    Attributes:
        failovers: which shard's primary failed, and when, of all that have been waited for.
    """

    def __init__(
        self,
        *names: str,
        replicas: int = 2,
        sentinels: int = 3,
        options: tuple[str, ...] = WARY,
        tls: Path | None = None,
    ) -> None:
        self.shards = {name: Shard(name, replicas, options, tls) for name in names}
        self._tls = tls
        self.sentinels: list[SentinelProcess] = []
        self.said: list[Said] = []
        self.failovers: list[tuple[str, float]] = []
        self._number = sentinels
        self._stack = ExitStack()
        self._ended = threading.Event()
        self._listeners: list[threading.Thread] = []

    def __enter__(self) -> SentinelShards:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __getitem__(self, name: str) -> Shard:
        return self.shards[name]

    def hosts(self, *names: str) -> list[dict[str, Any]]:
        """The entries of CONFIG's ``hosts`` for these shards, or all."""
        sentinels = [list(sentinel.address) for sentinel in self.sentinels]
        return [{"name": n, "sentinels": sentinels, "master_name": n} for n in names or self.shards]

    def wait_until_whole(self, name: str) -> None:
        """Wait until a failover is possible: every server but the primary follows it, and all Sentinels know them."""
        shard = self.shards[name]
        living = [sentinel for sentinel in self.sentinels if sentinel.answers()]
        self._wait(lambda: self._is_whole(shard, living), shard)

    def wait_for_failover(self, name: str, after: float) -> None:
        """Wait until a Sentinel has made another server the primary, and note which.

        Args:
            name: of the shard.
            after: when its primary failed.
        """
        shard = self.shards[name]
        former = shard.primary
        self._wait(lambda: self.first("+switch-master", name, after), shard)
        self._wait(lambda: self._note_primary(shard, former), shard)
        self.failovers.append((name, after))

    def begin_failover(self, name: str) -> None:
        """Let a Sentinel replace a primary although it lives, as one does that takes it for dead by mistake."""
        with self.sentinels[0].client as client:
            client.sentinel_failover(name)

    def first(self, event: str, shard: str, after: float) -> Said | None:
        """The first time that any Sentinel said this after a moment."""
        return min((s for s in self.said if (s.event, s.shard) == (event, shard) and s.at >= after),
                   key=lambda said: said.at, default=None)  # fmt: skip

    def needed(self) -> str:
        """What Sentinel needed itself, at most: from a fault to +sdown, and from there to +switch-master."""
        longest = (0.0, 0.0)
        for name, since in self.failovers:
            down, switched = self.first("+sdown", name, since), self.first("+switch-master", name, since)
            assert down is not None
            assert switched is not None
            longest = max(longest, (down.at - since, switched.at - down.at), key=sum)
        return f"{sum(longest):.2f} s (+sdown {longest[0]:.2f}, +switch-master {longest[1]:.2f} later)"

    def _wait(self, condition: Callable[[], object], shard: Shard) -> None:
        try:
            wait_until(condition, READY_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._picture(shard)}") from None

    def _picture(self, shard: Shard) -> str:
        lines = [f"shard {shard.name}, primary {shard.primary.port}"]
        for server in (*shard.servers, *(one for one in self.sentinels if one.answers())):
            if not server.answers():
                lines.append(f"{server.port} does not answer")
            elif server.sentinel:
                with server.client as client:
                    replicas = client.sentinel_slaves(shard.name)
                    lines.append(f"Sentinel {server.port}: {client.sentinel_master(shard.name)['flags']}, replicas:")
                    lines += [
                        f"    {r['port']} {r['flags']} {r['master-port']} {r['master-link-status']}" for r in replicas
                    ]
            else:
                said = server.info("replication")
                lines.append(
                    f"{server.port}: {said['role']} of {said.get('master_port')} {said.get('master_link_status')}"
                )
        now = time.monotonic()
        lines += [f"{said.at - now:.2f} {said.event} {said.shard}" for said in self.said[-30:]]
        return "\n".join(lines)

    def _start(self) -> None:
        for shard in self.shards.values():
            self._stack.callback(shard.stop)
            shard.start()
        primaries = {name: shard.primary for name, shard in self.shards.items()}
        for _ in range(self._number):
            sentinel = SentinelProcess(
                primaries,
                quorum=2,
                down_after_ms=DOWN_AFTER_MS,
                failover_timeout_ms=FAILOVER_TIMEOUT_MS,
                tls=self._tls,
            )
            self.sentinels.append(self._stack.enter_context(sentinel))
            self._listeners.append(threading.Thread(target=self._listen, args=(sentinel,)))
            self._listeners[-1].start()
        for name in self.shards:
            self.wait_until_whole(name)

    def _stop(self) -> None:
        self._ended.set()
        # Before the Sentinels end: who listens would dial them again, and leave sockets behind for the next test.
        for listener in self._listeners:
            listener.join()
        self._stack.close()

    def _listen(self, sentinel: SentinelProcess) -> None:
        with (
            suppress(redis.RedisError, OSError),
            sentinel.new_client(retry=None) as client,
            client.pubsub(ignore_subscribe_messages=True) as subscription,
        ):
            subscription.subscribe(*_WATCHED)
            while not self._ended.is_set():
                message = subscription.get_message(timeout=0.2)
                if message is not None:
                    self._heard(message["channel"].decode(), message["data"].decode().split())

    def _heard(self, event: str, words: list[str]) -> None:
        # +switch-master says "<name> <address> …"; the others "<type> <name> …", and of a replica "… @ <name> …".
        if event == "+switch-master":
            self.said.append(Said(time.monotonic(), event, words[0]))
        elif words[0] == "master":
            self.said.append(Said(time.monotonic(), event, words[1]))

    def _knows(self, sentinel: SentinelProcess, shard: Shard) -> bool:
        with sentinel.client as client:
            master = client.sentinel_master(shard.name)
            replicas = client.sentinel_slaves(shard.name)
        usable = [r for r in replicas if not r["is_sdown"] and not r["is_disconnected"]]
        following = {r["port"] for r in usable if r["master-link-status"] == "ok"}
        return (
            master["port"] == shard.primary.port
            and not master["is_sdown"]
            and int(master["num-other-sentinels"]) >= len([s for s in self.sentinels if s.answers()]) - 1
            # One that has come back is taken for what it is only with the next INFO, ten seconds later at most.
            and bool(following)
        )

    def _is_whole(self, shard: Shard, sentinels: list[SentinelProcess]) -> bool:
        # A Sentinel that comes late to a failover may begin another one, so who is the primary is asked each time.
        ports = {self._primary_port(sentinel, shard) for sentinel in sentinels}
        if len(ports) > 1:
            return False
        shard.primary = next(server for server in shard.servers if server.port in ports)
        return all(_follows(replica, shard.primary) for replica in shard.replicas) and all(
            self._knows(sentinel, shard) for sentinel in sentinels
        )

    def _note_primary(self, shard: Shard, former: RedisProcess) -> bool:
        for sentinel in self.sentinels:
            with suppress(redis.RedisError, OSError):
                port = self._primary_port(sentinel, shard)
                if port != former.port:
                    shard.primary = next(server for server in shard.servers if server.port == port)
                    return True
        return False

    @staticmethod
    def _primary_port(sentinel: SentinelProcess, shard: Shard) -> int:
        with sentinel.client as client:
            _, port = client.sentinel_get_master_addr_by_name(shard.name)
        return int(port)


def _follows(replica: RedisProcess, primary: RedisProcess) -> bool:
    try:
        said = replica.info("replication")
    except (redis.RedisError, OSError):
        return False
    return bool(said["role"] == "slave" and said["master_port"] == primary.port and said["master_link_status"] == "up")
