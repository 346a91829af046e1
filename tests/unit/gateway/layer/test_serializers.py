from __future__ import annotations

from typing import Any

import msgpack
import pytest
from channels_redis.serializers import BaseMessageSerializer, registry
from opentelemetry.trace import INVALID_SPAN

from realtime_gateway.layer.serializers import Serializer
from realtime_gateway.telemetry.spans import TracedMessage

MESSAGE: dict[str, Any] = {"type": "x", "list": [1, {"a": None}], "text": "ü"}


@pytest.mark.parametrize("form", ["msgpack", "json"])
@pytest.mark.parametrize("keys", [None, ["a", "b"]])
@pytest.mark.parametrize("random_prefix_length", [0, 12])
def test_what_is_encoded_is_decoded(form: str, keys: list[str] | None, random_prefix_length: int) -> None:
    serializer = Serializer(form, keys, random_prefix_length)
    assert serializer.body(serializer.encode(MESSAGE)).decode() == MESSAGE


def test_each_decoding_gives_another_dict() -> None:
    serializer = Serializer()
    body = serializer.body(serializer.encode(MESSAGE))
    body.decode()["list"].append("mine")
    assert body.decode() == MESSAGE


def test_a_traced_event_that_is_sent_on_is_a_dict_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(BaseMessageSerializer):
        def as_bytes(self, message: Any, *_: Any, **__: Any) -> bytes:
            packed: bytes = msgpack.packb(message, strict_types=True)
            return packed

        from_bytes = staticmethod(msgpack.unpackb)

    monkeypatch.setitem(registry._registry, "strict", Strict)
    serializer = Serializer("strict")
    event = TracedMessage(MESSAGE, INVALID_SPAN, 0.0)
    assert serializer.body(serializer.encode(event)).decode() == MESSAGE


def test_a_message_is_decrypted_once_for_all_its_members(monkeypatch: pytest.MonkeyPatch) -> None:
    serializer = Serializer("msgpack", ["key"])
    calls = []
    decrypt = serializer._decrypt
    assert decrypt is not None
    monkeypatch.setattr(serializer, "_decrypt", lambda data: calls.append(1) or decrypt(data))
    body = serializer.body(serializer.encode(MESSAGE))
    assert [body.decode() for _ in range(3)] == [MESSAGE] * 3
    assert len(calls) == 1


def test_a_serializer_that_does_more_than_upstreams_is_asked_as_a_whole() -> None:
    class Counting(BaseMessageSerializer):
        def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
            return repr(message).encode()

        def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
            return {"from": message}

        def deserialize(self, message: bytes) -> Any:
            return {"whole": super().deserialize(message)}

    registry.register_serializer("counting", Counting)
    serializer = Serializer("counting", ["key"])
    assert list(serializer.body(serializer.encode(MESSAGE)).decode()) == ["whole"]


def test_bytes_of_another_key_are_an_error() -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the serializer raises
        Serializer("msgpack", ["a"]).body(Serializer("msgpack", ["b"]).encode(MESSAGE)).decode()
