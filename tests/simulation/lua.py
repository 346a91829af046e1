"""The layer's real Lua scripts, run by a Lua 5.1 of our own over a simulated data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import lupa.lua51

from realtime_gateway.layer.shards.scripts import load
from tests.simulation.data_set import DataSet
from tests.simulation.values import RedisError, Status

Publish = Callable[[bytes, bytes], int]


class Scripts:
    """A Lua interpreter with the scripts in it, each compiled once.

    Args:
        texts: name → source.
    """

    def __init__(self, texts: dict[str, str]) -> None:
        self._lua = lupa.lua51.LuaRuntime(encoding=None, register_eval=False)
        self._table = self._lua.table_from
        self._type = lupa.lua51.lua_type
        self._data = DataSet()
        self._publish: Publish = lambda topic, payload: 0
        self._refusal = b""
        self._redis = self._table(
            {b"call": self._call, b"pcall": self._pcall, b"error_reply": self._error_reply, b"status_reply": self._ok}
        )
        self._functions = {
            name: self._lua.execute(b"return function(KEYS, ARGV, redis) " + text.encode() + b"\nend")
            for name, text in texts.items()
        }

    def run(
        self,
        name: str,
        keys: Sequence[str | bytes],
        arguments: Sequence[str | bytes | int | float],
        data: DataSet,
        publish: Publish,
        refusal: bytes = b"",
    ) -> Any:
        """Run a script to its end; return its reply, in which errors are RedisErrors.

        Args:
            name: which one.
            keys: KEYS.
            arguments: ARGV.
            data: what it works on.
            publish: called with topic and payload of each PUBLISH; returns the number of receivers.
            refusal: with what a write is answered, when the server takes none.
        """
        self._data, self._publish, self._refusal = data, publish, refusal
        key_table, argument_table = self._table(map(as_bytes, keys)), self._table(map(as_bytes, arguments))
        try:
            return self._reply(self._functions[name](key_table, argument_table, self._redis))
        except RedisError as error:
            return error

    def _call(self, *parts: Any) -> Any:
        return self._to_lua(self._execute(parts))

    def _pcall(self, *parts: Any) -> Any:
        try:
            return self._to_lua(self._execute(parts))
        except RedisError as error:
            return self._table({b"err": error.text})

    def _execute(self, parts: tuple[Any, ...]) -> Any:
        command = parts[0].upper()
        arguments = tuple([one if type(one) is bytes else as_bytes(one) for one in parts[1:]])
        if command == b"PUBLISH":
            return self._publish(arguments[0], arguments[1])
        if self._refusal and command not in _READS:
            raise RedisError(self._refusal)
        return self._data.execute(command, arguments)

    def _to_lua(self, value: Any) -> Any:
        kind = type(value)
        if kind is bytes or kind is int:
            return value
        if value is None:
            return False
        if kind is list:
            return self._table([one if type(one) is bytes else self._to_lua(one) for one in value])
        assert kind is Status
        return self._table({b"ok": bytes(value)})

    def _reply(self, value: Any) -> Any:
        if value is None or value is False:
            return None
        if isinstance(value, bytes):
            return value
        return int(value) if isinstance(value, int | float) else self._table_reply(value)

    def _table_reply(self, value: Any) -> Any:
        if value[b"err"] is not None:
            return RedisError(value[b"err"])
        if value[b"ok"] is not None:
            return value[b"ok"]
        found = []
        for one in value.values():
            if one is None:
                break
            found.append(one if type(one) is bytes else self._reply(one))
        return found

    def _error_reply(self, text: bytes) -> Any:
        return self._table({b"err": text})

    def _ok(self, text: bytes) -> Any:
        return self._table({b"ok": text})


_READS = frozenset(
    b"GET MGET EXISTS PTTL TTL TIME LLEN LINDEX LRANGE HGET HMGET HGETALL HLEN"
    b" ZRANGE ZSCORE ZRANGEBYSCORE ZCARD XRANGE XREVRANGE XLEN".split()
)


def as_bytes(value: str | bytes | int | float) -> bytes:
    """Return what a client sends for a value, or Redis makes of a Lua number."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    return b"%d" % value if value == int(value) else b"%.17g" % value


@cache
def real_scripts() -> Scripts:
    """Return the scripts as they are, for everybody."""
    return Scripts({name: script.text for name, script in load().items()})
