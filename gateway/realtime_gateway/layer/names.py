"""What things are called in Redis: the only builder of keys and of pub/sub channel names.

A *destination* is where messages go, written as one letter, a colon and a name:

    g:<group>       a group's stream; its other members (normal channels) stand beside it in a sorted set
    i:<process>     the inbox of one process, which carries what is sent to its specific channels
    q:<channel>     the queue of a normal channel, from which workers take

The name alone, without the letter, decides the owner among the shards. In a key it follows the deployment's prefix. In
the name of a pub/sub channel the shard's label stands between the two, because PUBLISH takes no notice of the database
number, and two shards of a list may be two databases of one server.

A group's name may say more than anyone who can look at Redis should know. With a key of its own (``GroupNames``) only a
digest of it leaves the process: in keys, in the names of pub/sub channels and in what processes ask of one another.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

GROUP, INBOX, QUEUE = "g", "i", "q"
CONTROL = "control"
# What holds messages or members, by its whole form after the prefix: a prefix may be the beginning of another one, and
# then the other one's keys begin as ours do. No name has a colon.
_BOOKS = "(?:epoch|hosts|dataset|processes|groups)"
_KINDS = "(?:g|i|q|t|s|group|full|process)"
_FLUSHED = re.compile(
    f"groups|(?:g|q|group):[^:]+|i:(?!{_BOOKS}$)[^:]+|full:(?!{_BOOKS}$)[^:]*"
    f"|t:(?!{_KINDS}:)[^:]+:(?!{_BOOKS}$)[^:]+|s:(?!{_KINDS}:)[^:]+:[0-9a-f]+:[^:]+"
)
_AMBIGUOUS = ("g", "q", "group", "tokens", "places")


def group(name: str) -> str:
    """Return the destination of a group."""
    return f"g:{name}"


def inbox(process: str) -> str:
    """Return the destination of everything sent to the channels of one process."""
    return f"i:{process}"


def queue(channel: str) -> str:
    """Return the destination of a normal channel."""
    return f"q:{channel}"


def name_of(destination: str) -> str:
    """Return the name that decides which shard owns a destination."""
    return destination[2:]


def process_of(channel: str) -> str | None:
    """Return the process that a specific channel belongs to, or None for a normal channel.

    The name is ``<anything>.<process>!<rest>``; without a dot, all that stands before the ``!`` is the process.
    """
    head, mark, _ = channel.partition("!")
    return head.rpartition(".")[2] if mark else None


class GroupNames:
    """What groups are called outside this process.

    Args:
        key: hides the names; None leaves them as they are.
    """

    _REMEMBERED = 100_000
    _DIGEST_BYTES = 16  # as many as a random UUID has: no two names of a deployment meet

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        # A digest costs a microsecond, and logs and events for the user name a group as he does.
        self._outside: dict[str, str] = {}
        self._inside: dict[str, str] = {}

    def outside(self, name: str) -> str:
        """Return what a group is called in Redis."""
        if self._key is None:
            return name
        hidden = self._outside.get(name)
        if hidden is None:
            hidden = self._digest(self._key, name)
            if len(self._outside) >= self._REMEMBERED:
                oldest = next(iter(self._outside))
                del self._inside[self._outside.pop(oldest)]
            self._outside[name], self._inside[hidden] = hidden, name
        return hidden

    def limit(self, name: str) -> str:
        """Return what a limit is called in Redis: it may name a user, and nobody asks for the name again."""
        return name if self._key is None else self._digest(self._key, name)

    def _digest(self, key: bytes, name: str) -> str:
        return hmac.digest(key, name.encode(), "sha256")[: self._DIGEST_BYTES].hex()

    def inside(self, destination: str) -> str:
        """Return the name of a destination for people here; a digest where this process has never heard the name."""
        name = name_of(destination)
        return self._inside.get(name, name) if self._key is not None and destination[0] == GROUP else name


def ambiguous_end(prefix: str) -> str:
    """Return the end that no prefix may have, or "": the keys of ``site:g`` would be those of groups in ``site``."""
    head, colon, end = prefix.rpartition(":")
    return f":{end}" if head and colon and end in _AMBIGUOUS else ""


@dataclass(frozen=True)
class Names:
    """The names of one deployment, told from others on the same Redis by its prefix."""

    prefix: str

    @property
    def epoch(self) -> str:
        """The epoch a shard is at, as a number; absent is 0."""
        return f"{self.prefix}:epoch"

    @property
    def hosts(self) -> str:
        """The host-list document of that epoch."""
        return f"{self.prefix}:hosts"

    @property
    def data_set(self) -> str:
        """A random word that is created with a data set, and gone when the data are."""
        return f"{self.prefix}:dataset"

    @property
    def processes(self) -> str:
        """A sorted set of process ids by the server's time, in milliseconds, when they last wrote."""
        return f"{self.prefix}:processes"

    def process(self, process: str) -> str:
        """What one process last said of itself, as JSON; it expires."""
        return f"{self.prefix}:process:{process}"

    def key(self, destination: str) -> str:
        """The stream of a group or inbox, or the list of a queue."""
        return f"{self.prefix}:{destination}"

    def members(self, destination: str) -> str:
        """The normal channels in a group, by the time of joining, where channels_redis has a group's members.

        It writes seconds and this layer milliseconds, so what it left there has expired for this layer.
        """
        return f"{self.prefix}:group:{destination[2:]}"

    @property
    def groups(self) -> str:
        """The names of the groups on this shard that have normal channels."""
        return f"{self.prefix}:groups"

    def full(self, channel: str) -> str:
        """Exists while the owner of a specific channel says that its mailbox is full."""
        return f"{self.prefix}:full:{channel}"

    def tokens(self, bucket: str) -> str:
        """A bucket of tokens, of a limit over all processes."""
        return f"{self.prefix}:tokens:{bucket}"

    def places(self, limit: str) -> str:
        """Who holds how many places of a limit over all processes."""
        return f"{self.prefix}:places:{limit}"

    def mark(self, destination: str, sender: int, source: str) -> str:
        """The last sequence number that a sender put into a queue, directly or through one group."""
        return f"{self.prefix}:s:{destination[2:]}:{sender:x}:{source}"

    def taken(self, destination: str, process: str) -> str:
        """What a process has taken from a queue and has not said to have."""
        return f"{self.prefix}:t:{destination[2:]}:{process}"

    def topic(self, label: str, destination: str) -> str:
        """The pub/sub channel of a destination on one shard."""
        return f"{self.prefix}:{label}:{destination}"

    def every_key_pattern(self) -> str:
        """A pattern for SCAN that matches every key of this deployment, whatever characters the prefix has."""
        escaped = "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in self.prefix)
        return f"{escaped}:*"

    def is_flushed(self, key: str) -> bool:
        """Whether a key holds messages or members, rather than book-keeping or something of a longer prefix."""
        return _FLUSHED.fullmatch(key.removeprefix(f"{self.prefix}:")) is not None
