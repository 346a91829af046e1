"""A secret in a file, used as it is now: passwords, keys that sign, keys that encrypt.

Secrets come as files because environments are inherited and printed, and because a file may be exchanged while its
readers run. Whoever has one looks at it when it is needed; a look costs one ``stat``.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.telemetry import recorder
from realtime_gateway.watched_file import WatchedFile

log = logging.getLogger("realtime_gateway.security")
T = TypeVar("T")


class SecretFile(Generic[T]):
    """What the text of a file stands for; a new content that cannot be used is told, counted, and changes nothing.

    Args:
        path: the file.
        what: what to call the secret in messages, such as "the Redis password".
        read: makes the value of the text, which has no white space around it; raises ConfigurationError, with a message
            that shows nothing of the text.

    Raises:
        ConfigurationError: the file cannot be used at the start.
    """

    def __init__(self, path: Path, what: str, read: Callable[[str], T]) -> None:
        self._file = WatchedFile(path)
        self._what = what
        self._read = read
        self._told = ""
        self._digest = b""  # of the content in use
        try:
            value = self._look()
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}, with {what}: {error.message}", error.remedy) from error
        assert value is not None, "a file that was never read is new"
        self._value = value

    def look(self) -> T:
        """Return the value of now: of the file, or of the last content that could be used."""
        try:
            value = self._look()
        except ConfigurationError as error:
            if str(error) != self._told:
                self._told = str(error)
                recorder.secret_changes.add(1, "refused")
                log.error("%s, with %s: %s The one in use stays in use.", self._file.path, self._what, error)
            return self._value
        if value is not None:
            self._told = ""
            recorder.secret_changes.add(1, "used")
            log.info("%s has changed: %s is another one from now on", self._file.path, self._what)
            self._value = value
        return self._value

    def _look(self) -> T | None:
        try:
            content = self._file.look()
        except OSError as error:
            raise ConfigurationError(f"it cannot be read: {error.strerror}.") from error
        if content is None:
            return None
        # A volume of several Secrets is exchanged as a whole when one of them changes: its other files are the same.
        digest = hashlib.sha256(content).digest()
        if digest == self._digest:
            self._told = ""
            self._file.take()
            return None
        value = self._read(text_of(content))
        self._file.take()
        self._digest = digest
        return value


def text_of(content: bytes) -> str:
    """Return a secret's text, without the white space around it.

    Raises:
        ConfigurationError: there is none, or it is not UTF-8; nothing of it is shown.
    """
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ConfigurationError("it is no text in UTF-8.") from None  # the error would show a part of it
    if not text:
        raise ConfigurationError("it is empty.")
    return text
