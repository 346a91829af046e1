"""From a message to its bytes and back, by channels_redis's own serializers.

Whatever a project has registered with ``channels_redis.serializers.registry`` works here under the same name.
Encryption costs far more than decoding, so bytes are decrypted once per message and decoded once per member: each
member gets a dict of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from channels_redis.serializers import BaseMessageSerializer, registry

from realtime_gateway.telemetry.spans import TracedMessage


class Serializer:
    """Encodes and decodes messages.

    Args:
        serializer_format: a name in channels_redis's registry.
        symmetric_encryption_keys: the first encrypts, all of them decrypt.
        random_prefix_length: how many random bytes to put in front; upstream needs them, this layer does not.
    """

    def __init__(
        self,
        serializer_format: str = "msgpack",
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        random_prefix_length: int = 0,
    ) -> None:
        # No expiry: the layer has its own, and a serializer's would compare the clocks of two machines.
        self._serializer: Any = registry.get_serializer(
            serializer_format,
            random_prefix_length=random_prefix_length,
            expiry=None,
            symmetric_encryption_keys=symmetric_encryption_keys,
        )
        crypter = getattr(self._serializer, "crypter", None)
        known = isinstance(self._serializer, BaseMessageSerializer) and random_prefix_length == 0
        # Only what is known to be "decrypt, then decode" may be taken apart.
        taken_apart = known and type(self._serializer).deserialize is BaseMessageSerializer.deserialize
        self._decrypt = crypter.decrypt if crypter is not None and taken_apart else None
        self._decode: Any = self._serializer.from_bytes if taken_apart else self._serializer.deserialize

    def encode(self, message: Any) -> bytes:
        """Return the bytes of a message."""
        if isinstance(message, TracedMessage):
            # An event that a handler sends on. A project's serializer may take dicts and none of their subclasses.
            message = dict(message)
        encoded: bytes = self._serializer.serialize(message)
        return encoded

    def body(self, encoded: bytes) -> LazyBody:
        """Wrap received bytes; nothing is decoded before somebody wants it."""
        return LazyBody(self, encoded)

    def open(self, encoded: bytes) -> bytes:
        """Decrypt, where that can be done apart from decoding."""
        if self._decrypt is None:
            return encoded
        opened: bytes = self._decrypt(encoded)
        return opened

    def decode(self, opened: bytes) -> dict[str, Any]:
        """Return a new dict."""
        message: dict[str, Any] = self._decode(opened)
        return message


class LazyBody:
    """The bytes of one message, shared by all its members in this process."""

    __slots__ = ("_bytes", "_opened", "_serializer")

    def __init__(self, serializer: Serializer, encoded: bytes) -> None:
        self._serializer = serializer
        self._bytes = encoded
        self._opened = False

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has; raises whatever the serializer raises."""
        if not self._opened:
            self._bytes = self._serializer.open(self._bytes)
            self._opened = True
        return self._serializer.decode(self._bytes)

    @property
    def encoded(self) -> bytes:
        """The bytes as they are now; as received while nobody has decoded them."""
        return self._bytes
