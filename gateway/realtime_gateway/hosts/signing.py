"""Host lists as shards hold them, where anybody who can write to Redis could put one: signed with the layer's keys.

Without keys a document is just JSON. With keys, whoever has them signs what it writes to a shard, and refuses what is
not signed. The mounted file carries no signature: only the deployment can write it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from enum import Enum

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts.document import HostList

_PURPOSE = b"realtime-gateway host list\n"


class Comparison(Enum):
    """How a stored document of the epoch that is in use compares with the list in use."""

    SAME = "the same list"
    TO_SIGN = "the same list, without the signature of our first key"
    OTHER = "another list"


class Documents:
    """Reads and writes the documents of one deployment.

    Args:
        keys: the layer's encryption keys: the first signs, all of them verify; none: documents carry no signature.
        prefix: the deployment's, part of what is signed, so that a document is of no use to another deployment.
    """

    def __init__(self, keys: Sequence[str | bytes] = (), prefix: str = "") -> None:
        self._prefix = prefix
        self.use(keys)

    def use(self, keys: Sequence[str | bytes]) -> None:
        """Sign and verify with these keys from now on."""
        self._keys = [key.encode() if isinstance(key, str) else key for key in keys]

    @property
    def are_signed(self) -> bool:
        """Whether only signed documents count."""
        return bool(self._keys)

    def write(self, hosts: HostList) -> str:
        """Return the document of a list for a shard."""
        if not self._keys:
            return hosts.to_json()
        document = {**hosts.to_document(), "signature": self._signature(self._keys[0], hosts)}
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    def read(self, text: str | bytes, where: str) -> HostList:
        """Read a document from a shard.

        Args:
            text: the document.
            where: what to call its source in an error.

        Raises:
            HostListInvalid: it is no host list, or it is not signed with one of the keys.
        """
        hosts = HostList.from_json(text, where)
        if not self.accepts(hosts):
            raise HostListInvalid(
                f"{where}: the host list of epoch {hosts.epoch} is not signed with a key of this channel layer.",
                "It is not adopted from there. Whoever has the keys, and the list from a file, signs it.",
            )
        return hosts

    def accepts(self, hosts: HostList) -> bool:
        """Whether a list that a shard holds is signed with one of the keys, or there are none."""
        return not self._keys or self._signed_by(hosts, self._keys)

    def compare(self, stored: str | bytes, hosts: HostList) -> Comparison:
        """Compare a stored document with the list of the same epoch that is in use here."""
        try:
            found = HostList.from_json(stored, "the shard")
        except HostListInvalid:
            return Comparison.OTHER
        if not found.same_as(hosts):
            return Comparison.OTHER
        if self._keys and not self._signed_by(found, self._keys[:1]):
            return Comparison.TO_SIGN
        return Comparison.SAME

    def _signed_by(self, hosts: HostList, keys: Sequence[bytes]) -> bool:
        given = hosts.signature.encode()  # compare_digest takes no text beyond ASCII
        return any(hmac.compare_digest(self._signature(key, hosts).encode(), given) for key in keys)

    def _signature(self, key: bytes, hosts: HostList) -> str:
        # What is signed is the list as it reads, not the bytes it came in. The key is not used as it is: messages are
        # encrypted with a digest of it, and no key should serve two purposes.
        own_key = hashlib.sha256(_PURPOSE + key).digest()
        signed = f"{self._prefix}\n{hosts.to_json()}".encode()
        return hmac.new(own_key, signed, hashlib.sha256).hexdigest()
