"""The certificates by which the operator itself speaks with Redis: from the Secret that a resource names.

That Secret is somebody else's, and so no watch brings it. It is looked up by its name now and then, with the right to
list that the operator has anyway.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.objects import identity, redis_tls
from realtime_operator.observe.redis_servers import Encryption
from realtime_operator.snapshot import Manifest, ObjectKey, Unknown
from realtime_operator.target import Target

# A certificate is renewed long before it expires, and one that is missing is waited for.
ASK_AGAIN_SECONDS, ASK_AGAIN_IN_TROUBLE_SECONDS = 60.0, 4.0


class TlsSecret:
    """One resource's certificates, as they were seen last; what cannot be used does not replace what could be."""

    def __init__(self, client: KubeClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._asked_at: float | None = None
        self._version = ""
        self._trouble = ""
        self._wanted = False
        self._known: Encryption | None = None

    def for_connections(self) -> Encryption | Unknown | None:
        """How connections are encrypted; None where they are plain, Unknown where they cannot be made."""
        if self._wanted and self._known is None:
            return Unknown(self._trouble or "The Secret with certificates has not been looked at.")
        return self._known

    async def look(self, target: Target) -> str:
        """Look at the Secret when it is time to; return what is wrong with it, or nothing."""
        tls = redis_tls.wanted(target)
        self._wanted = tls is not None
        if tls is None or not self._is_due():
            return self._trouble
        key = ObjectKey("Secret", tls.secret_name)
        self._asked_at = self._clock()  # whatever comes of it: an API server in trouble is not asked at every look
        try:
            seen = await self._client.find(key, target.namespace)
        except KubeError as error:
            if self._known is None:
                self._trouble = f"{key} cannot be looked up: {error.message}"
            return self._trouble
        self._trouble = self._read(key, seen, identity.redis_tls_name(target))
        return self._trouble

    def _is_due(self) -> bool:
        again = ASK_AGAIN_IN_TROUBLE_SECONDS if self._trouble else ASK_AGAIN_SECONDS
        return self._asked_at is None or self._clock() - self._asked_at >= again

    def _read(self, key: ObjectKey, seen: Manifest | None, name: str) -> str:
        if seen is None:
            self._version = ""
            return f"{key} does not exist."
        version = str(seen["metadata"].get("resourceVersion", ""))
        if version == self._version:
            return self._trouble
        data = seen.get("data") or {}
        missing = [file for file in redis_tls.FILES if not data.get(file)]
        if missing:
            return f"{key} lacks {', '.join(missing)}."
        try:
            self._known = Encryption(_context(data), name)
        except (ssl.SSLError, ValueError) as error:
            return f"{key} cannot be used: {error}."
        self._version = version
        return ""


def _context(data: Mapping[str, str]) -> ssl.SSLContext:
    """Certificates as a client uses them, which trusts the Secret's authority and nobody else.

    Raises:
        ssl.SSLError, ValueError: they are none, or do not belong together.
    """
    try:
        authority, certificate, key = (base64.b64decode(data[file], validate=True) for file in redis_tls.FILES)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
    context = ssl.create_default_context(cadata=authority.decode())
    with _in_memory(certificate + b"\n" + key) as path:
        context.load_cert_chain(path)
    return context


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path that leads to content which is on no disk: Python reads keys from files only."""
    file = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(file, content)
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)
