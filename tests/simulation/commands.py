"""The commands that the layer's scripts and their tests use, over one server's keys."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, Protocol

from tests.simulation.values import OK, Arguments, RedisError, SortedSet, Stream

_END = (1 << 64, 1 << 64)


class Keys(Protocol):
    """Where values are found.

    Attributes:
        now_ms: the server's clock.
    """

    values: dict[bytes, Any]
    expires: dict[bytes, int]
    now_ms: int

    def find(self, key: bytes) -> Any:
        """Return a value that has not expired."""
        ...

    def typed(self, key: bytes, kind: type[Any]) -> Any:
        """Return a value that has not expired; raises RedisError when it is of another kind."""
        ...

    def made(self, key: bytes, kind: type[Any]) -> Any:
        """As ``typed``, with an empty one in the place of none."""
        ...

    def drop(self, key: bytes) -> int:
        """Delete a key; return how many there were."""
        ...

    def drop_if_empty(self, key: bytes, value: Any) -> None:
        """Delete a key that holds nothing any more."""
        ...


# Strings and keys


def _get(data: Keys, arguments: Arguments) -> Any:
    return data.typed(arguments[0], bytes)


def _mget(data: Keys, arguments: Arguments) -> Any:
    found = [data.find(key) for key in arguments]
    return [one if isinstance(one, bytes) else None for one in found]


def _set(data: Keys, arguments: Arguments) -> Any:
    key, value, *options = arguments
    expires = None
    if b"NX" in options and data.find(key) is not None:
        return None
    if b"PX" in options:
        expires = data.now_ms + int(options[options.index(b"PX") + 1])
    if b"EX" in options:
        expires = data.now_ms + int(options[options.index(b"EX") + 1]) * 1000
    data.drop(key)
    data.values[key] = value
    if expires is not None:
        data.expires[key] = expires
    return OK


def _mset(data: Keys, arguments: Arguments) -> Any:
    for key, value in zip(arguments[::2], arguments[1::2], strict=True):
        _set(data, (key, value))
    return OK


def _incr(data: Keys, arguments: Arguments) -> Any:
    number = int(data.typed(arguments[0], bytes) or 0) + 1
    data.values[arguments[0]] = b"%d" % number
    return number


def _del(data: Keys, arguments: Arguments) -> Any:
    return sum(data.find(key) is not None and data.drop(key) for key in arguments)


def _exists(data: Keys, arguments: Arguments) -> Any:
    return sum(data.find(key) is not None for key in arguments)


def _expire(data: Keys, arguments: Arguments) -> Any:
    return _pexpire(data, (arguments[0], b"%d" % (int(arguments[1]) * 1000)))


def _pexpire(data: Keys, arguments: Arguments) -> Any:
    if data.find(arguments[0]) is None:
        return 0
    data.expires[arguments[0]] = data.now_ms + int(arguments[1])
    return 1


def _pttl(data: Keys, arguments: Arguments) -> Any:
    if data.find(arguments[0]) is None:
        return -2
    expires = data.expires.get(arguments[0])
    return -1 if expires is None else expires - data.now_ms


def _ttl(data: Keys, arguments: Arguments) -> Any:
    left = _pttl(data, arguments)
    return left if left < 0 else (left + 500) // 1000


def _time(data: Keys, arguments: Arguments) -> Any:
    return [b"%d" % (data.now_ms // 1000), b"%d" % (data.now_ms % 1000 * 1000)]


# Lists


def _lpush(data: Keys, arguments: Arguments) -> Any:
    values = data.made(arguments[0], list)
    for one in arguments[1:]:
        values.insert(0, one)
    return len(values)


def _rpush(data: Keys, arguments: Arguments) -> Any:
    values = data.made(arguments[0], list)
    values.extend(arguments[1:])
    return len(values)


def _lpop(data: Keys, arguments: Arguments) -> Any:
    values = data.typed(arguments[0], list)
    if not values:
        return None
    taken = values.pop(0)
    data.drop_if_empty(arguments[0], values)
    return taken


def _llen(data: Keys, arguments: Arguments) -> Any:
    return len(data.typed(arguments[0], list) or ())


def _lindex(data: Keys, arguments: Arguments) -> Any:
    values, index = data.typed(arguments[0], list) or [], int(arguments[1])
    return values[index] if -len(values) <= index < len(values) else None


def _lrange(data: Keys, arguments: Arguments) -> Any:
    values = data.typed(arguments[0], list) or []
    first, last = int(arguments[1]), int(arguments[2])
    return values[first : last + 1 if last >= 0 else len(values) + last + 1]


# Hashes


def _hset(data: Keys, arguments: Arguments) -> Any:
    fields = data.made(arguments[0], dict)
    before = len(fields)
    fields.update(zip(arguments[1::2], arguments[2::2], strict=True))
    return len(fields) - before


def _hget(data: Keys, arguments: Arguments) -> Any:
    return (data.typed(arguments[0], dict) or {}).get(arguments[1])


def _hmget(data: Keys, arguments: Arguments) -> Any:
    fields = data.typed(arguments[0], dict) or {}
    return [fields.get(one) for one in arguments[1:]]


def _hgetall(data: Keys, arguments: Arguments) -> Any:
    return [one for pair in (data.typed(arguments[0], dict) or {}).items() for one in pair]


def _hkeys(data: Keys, arguments: Arguments) -> Any:
    return list(data.typed(arguments[0], dict) or ())


def _hdel(data: Keys, arguments: Arguments) -> Any:
    fields = data.typed(arguments[0], dict) or {}
    count = sum(fields.pop(one, None) is not None for one in arguments[1:])
    data.drop_if_empty(arguments[0], fields)
    return count


def _hlen(data: Keys, arguments: Arguments) -> Any:
    return len(data.typed(arguments[0], dict) or ())


# Sorted sets


def _zadd(data: Keys, arguments: Arguments) -> Any:
    found = data.made(arguments[0], SortedSet)
    pairs = zip(arguments[1::2], arguments[2::2], strict=True)
    return sum(found.add(float(score), member) for score, member in pairs)


def _zrem(data: Keys, arguments: Arguments) -> Any:
    found = data.typed(arguments[0], SortedSet)
    if found is None:
        return 0
    count = sum(found.remove(member) for member in arguments[1:])
    data.drop_if_empty(arguments[0], found.order)
    return count


def _zrangebyscore(data: Keys, arguments: Arguments) -> Any:
    found = data.typed(arguments[0], SortedSet)
    return [member for _, member in found.between(arguments[1], arguments[2])] if found else []


def _zremrangebyscore(data: Keys, arguments: Arguments) -> Any:
    found = data.typed(arguments[0], SortedSet)
    if found is None:
        return 0
    gone = found.between(arguments[1], arguments[2])
    for _, member in gone:
        found.remove(member)
    data.drop_if_empty(arguments[0], found.order)
    return len(gone)


def _zrange(data: Keys, arguments: Arguments) -> Any:
    found = data.typed(arguments[0], SortedSet)
    order = found.order if found else []
    first, last = int(arguments[1]), int(arguments[2])
    chosen = order[first : last + 1 if last >= 0 else len(order) + last + 1]
    if b"WITHSCORES" not in arguments:
        return [member for _, member in chosen]
    return [one for score, member in chosen for one in (member, _number(score))]


def _zscore(data: Keys, arguments: Arguments) -> Any:
    found = data.typed(arguments[0], SortedSet)
    score = found.scores.get(arguments[1]) if found else None
    return None if score is None else _number(score)


def _number(score: float) -> bytes:
    return b"%d" % score if score == int(score) else b"%.17g" % score


def _zcard(data: Keys, arguments: Arguments) -> Any:
    found = data.typed(arguments[0], SortedSet)
    return len(found.order) if found else 0


# Streams


def _xadd(data: Keys, arguments: Arguments) -> Any:
    stream = data.made(arguments[0], Stream)
    bound, rest = None, list(arguments[1:])
    if rest[0] == b"MAXLEN":
        approximate = rest[1] in (b"~", b"=")
        bound = int(rest[1 + approximate])
        rest = rest[2 + approximate :]
    new = _id(rest[0], (0, 0))
    if new <= stream.last:
        raise RedisError(b"ERR The ID specified in XADD is equal or smaller than the target stream top item")
    stream.ids.append(new)
    stream.entries[new] = rest[1:]
    stream.last = new
    if bound is not None and len(stream.ids) > bound:
        stream.drop_oldest(len(stream.ids) - bound)
    return rest[0]


def _xtrim(data: Keys, arguments: Arguments) -> Any:
    stream = data.typed(arguments[0], Stream)
    if stream is None:
        return 0
    bound = arguments[-1]
    if arguments[1] == b"MINID":
        count = bisect_left(stream.ids, _id(bound, (0, 0)))
    else:
        count = max(len(stream.ids) - int(bound), 0)
    stream.drop_oldest(count)
    return count


def _xrange(data: Keys, arguments: Arguments) -> Any:
    return _entries(data, arguments[0], arguments[1], arguments[2], arguments[3:], False)


def _xrevrange(data: Keys, arguments: Arguments) -> Any:
    return _entries(data, arguments[0], arguments[2], arguments[1], arguments[3:], True)


def _entries(data: Keys, key: bytes, low: bytes, high: bytes, options: Arguments, backwards: bool) -> Any:
    stream = data.typed(key, Stream)
    if stream is None:
        return []
    ids = stream.ids
    start = bisect_right(ids, _id(low[1:], (0, 0))) if low[:1] == b"(" else bisect_left(ids, _id(low, (0, 0)))
    end = bisect_left(ids, _id(high[1:], _END)) if high[:1] == b"(" else bisect_right(ids, _id(high, _END))
    count = int(options[1]) if options else end - start
    chosen = ids[max(end - count, start) : end][::-1] if backwards else ids[start : min(start + count, end)]
    return [[b"%d-%d" % one, stream.entries[one]] for one in chosen]


def _xlen(data: Keys, arguments: Arguments) -> Any:
    stream = data.typed(arguments[0], Stream)
    return len(stream.ids) if stream else 0


def _id(text: bytes, rest: tuple[int, int]) -> tuple[int, int]:
    if text in (b"-", b"+"):
        return (0, 0) if text == b"-" else _END
    ms, dash, count = text.partition(b"-")
    return int(ms), int(count) if dash else rest[1]


def _flushall(data: Keys, arguments: Arguments) -> Any:
    for key in list(data.values):
        data.drop(key)
    return OK


_NAMES = (
    "flushall get mget set mset incr del exists expire pexpire pttl ttl time lpush rpush lpop llen lindex lrange"
    " hset hget hmget hgetall hkeys hdel hlen"
    " zadd zrange zscore zrem zrangebyscore zremrangebyscore zcard xadd xtrim xrange xrevrange xlen"
)
COMMANDS: dict[bytes, Callable[[Keys, Arguments], Any]] = {
    name.upper().encode(): globals()[f"_{name}"] for name in _NAMES.split()
}
COMMANDS[b"UNLINK"] = _del
WRITES = frozenset(
    b"FLUSHALL SET MSET INCR DEL UNLINK EXPIRE PEXPIRE LPUSH RPUSH LPOP HSET HDEL ZADD ZREM ZREMRANGEBYSCORE"
    b" XADD XTRIM".split()
)
