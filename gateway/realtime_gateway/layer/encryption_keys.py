"""Which of the encryption keys in a file encrypts, while the file is exchanged under many processes.

Processes read a new file at different times: the kubelets of a cluster bring it to their pods over more than a minute.
A key that encrypts before everybody has it makes messages that some cannot read. So a key that is new at the front of
the list only decrypts at first, and the one before it goes on encrypting, which everybody has::

    file        [old]        [new, old]                                    [new]
    encrypts     old          old …  after settle_seconds  … new            new
    decrypts     old          both                                          new
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.secret_file import SecretFile
from realtime_gateway.telemetry import recorder

log = logging.getLogger("realtime_gateway.layer")
Keys = tuple[str, ...]
SHORTEST_CHARACTERS = 16
_WHAT = "the channel layer's encryption keys"


def read_keys(text: str) -> Keys:
    """Return the keys of a file: one a line, the newest first.

    Raises:
        ConfigurationError: there is none, one stands twice, or one is so short that it can be guessed.
    """
    keys = tuple(key for line in text.splitlines() if (key := line.strip()))
    if not keys:
        raise ConfigurationError("it is empty.", "Write a key on each line, the newest first.")
    if len(set(keys)) < len(keys):
        raise ConfigurationError("one key stands there twice.")
    if any(len(key) < SHORTEST_CHARACTERS for key in keys):
        raise ConfigurationError(
            f"a key has fewer than {SHORTEST_CHARACTERS} characters.", "Make one with `openssl rand -base64 32`."
        )
    return keys


def keys_of(path: Path) -> Keys:
    """Return the keys of a file as they stand there, for who looks at lists on shards.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    return SecretFile(path, _WHAT, read_keys).look()


class KeyOrder:
    """Which key encrypts.

    Args:
        keys: as the file has them now.
        now: in seconds, by any clock.
        settle_seconds: how long a key that is new at the front only decrypts.

    Attributes:
        keys: as the file has them.
    """

    def __init__(self, keys: Keys, now: float, settle_seconds: float) -> None:
        self.keys = keys
        self._settle_seconds = settle_seconds
        # The first key may be older than this process, or so new that others have not got it: all have the second.
        self._encrypts = keys[min(1, len(keys) - 1)]
        self._since = now

    def use(self, keys: Keys, now: float) -> None:
        """Go by another content of the file."""
        if keys[0] != self.keys[0]:
            self._since = now
        self.keys = keys
        if self._encrypts not in keys:
            self._encrypts = keys[0]

    @property
    def settled(self) -> bool:
        """Whether the first key encrypts."""
        return self._encrypts == self.keys[0]

    def in_use(self, now: float) -> Keys:
        """Return all keys, first the one that encrypts."""
        if now - self._since >= self._settle_seconds:
            self._encrypts = self.keys[0]
        return (self._encrypts, *(key for key in self.keys if key != self._encrypts))


class KeysFile:
    """The keys of a file in the order in which a channel layer uses them, looked at again and again.

    Args:
        path: the file.
        settle_seconds: as for ``KeyOrder``.
        clock: in seconds.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(self, path: Path, settle_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = SecretFile(path, _WHAT, read_keys)
        self._clock = clock
        self._order = KeyOrder(self._file.look(), clock(), settle_seconds)

    def look(self) -> Keys:
        """Return the keys as they are to be used now."""
        now = self._clock()
        keys = self._file.look()
        if not set(keys) & set(self._order.keys):
            log.warning("none of the earlier encryption keys is left: what was sent with them cannot be read any more")
        self._order.use(keys, now)
        in_use = self._order.in_use(now)
        _KEYS_FILES.add(self)
        recorder.layer_key_settling.set(sum(not one.settled for one in _KEYS_FILES))
        return in_use

    @property
    def settled(self) -> bool:
        """Whether the first key encrypts."""
        return self._order.settled


# Of all channel layers of this process: whoever removes a key waits for each of them.
_KEYS_FILES: weakref.WeakSet[KeysFile] = weakref.WeakSet()
