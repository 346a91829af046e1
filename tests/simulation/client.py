"""redis-py's client in front of a simulated server, so that one table of cases runs over both kinds of servers."""

from __future__ import annotations

import time
from typing import Any

import redis

from realtime_gateway.layer.shards.scripts import load
from tests.simulation.data_set import DataSet
from tests.simulation.lua import as_bytes, real_scripts
from tests.simulation.values import RedisError, Stream

_REFUSALS = {
    "maxmemory": b"OOM command not allowed when used memory > 'maxmemory'.",
    "min-replicas-to-write": b"NOREPLICAS Not enough good replicas to write.",
}


class SimulatedClient(redis.Redis):
    """Runs commands and the layer's scripts at once, without a socket, by the machine's clock."""

    def __init__(self) -> None:
        super().__init__()
        self._data = DataSet()
        self._listening: list[Subscription] = []
        self._names = {script.text: name for name, script in load().items()}
        self._refusal = b""

    def execute_command(self, *parts: Any, **options: Any) -> Any:
        """Run a command, and let redis-py turn the reply into what its users get."""
        name, *arguments = parts
        self._data.now_ms = time.time_ns() // 1_000_000
        reply = self._run(str(name).upper(), arguments)
        if isinstance(reply, RedisError):
            raise redis.ResponseError(str(reply))
        callback = self.response_callbacks.get(name)
        return callback(reply, **options) if callback else reply

    def _run(self, name: str, arguments: list[Any]) -> Any:
        if name == "EVAL":
            count = int(arguments[1])
            keys, rest = arguments[2 : 2 + count], arguments[2 + count :]
            reply = real_scripts().run(self._names[arguments[0]], keys, rest, self._data, self._publish, self._refusal)
            return [_for_redis_py(one) for one in reply] if isinstance(reply, list) else reply
        if name == "CONFIG SET":
            self._refusal = _REFUSALS[arguments[0]] if int(arguments[1]) == 1 else b""
            return b"OK"
        try:
            return self._data.execute(name.encode(), tuple(as_bytes(one) for one in arguments))
        except RedisError as error:
            return error

    def _publish(self, topic: bytes, payload: bytes) -> int:
        heard = [one for one in self._listening if topic in one.topics]
        for one in heard:
            one.messages.append({"type": "message", "channel": topic, "data": payload, "pattern": None})
        return len(heard)

    def pubsub(self, **options: Any) -> Any:
        """Return something that hears what is published."""
        made = Subscription()
        self._listening.append(made)
        return made

    def entries(self, stream: str) -> int:
        """How many entries a stream has."""
        found = self._data.values.get(stream.encode())
        return len(found.ids) if isinstance(found, Stream) else 0


class Subscription:
    """What the tests use of redis-py's PubSub."""

    def __init__(self) -> None:
        self.topics: set[bytes] = set()
        self.messages: list[dict[str, Any]] = []

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *error: object) -> None:
        self.topics.clear()

    def subscribe(self, topic: str) -> None:
        """Begin to hear; confirmed by a message, as by a server."""
        self.topics.add(topic.encode())
        self.messages.append({"type": "subscribe", "channel": topic.encode(), "data": 1, "pattern": None})

    def get_message(self, timeout: float = 0) -> dict[str, Any] | None:
        """Return the oldest message."""
        return self.messages.pop(0) if self.messages else None


def _for_redis_py(reply: Any) -> Any:
    return redis.ResponseError(str(reply)) if isinstance(reply, RedisError) else reply
