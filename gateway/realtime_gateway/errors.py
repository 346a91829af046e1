"""Every exception that this project raises on purpose.

    GatewayError                    what, where, and what to do about it
    ├── ConfigurationError          the caller's settings, file or command line
    │   ├── HostListInvalid         a host list that cannot be used
    │   └── ResourceInvalid         a RealtimeGateway with problems, all of them at once
    ├── StartError                  a process that could not start, or did not become ready
    ├── MessageTooLarge             above the layer's bound; nothing was sent
    ├── MembershipRefused           a group change for a channel whose process does not answer
    └── ShardError                  one Redis shard, by name
        ├── ShardUnavailable        not reachable within the send timeout
        └── ShardRefused            reachable, and it answered with an error (NOAUTH, OOM, READONLY, …)

Errors from libraries are wrapped where they enter, with the cause chained.
"""

from __future__ import annotations

from dataclasses import dataclass


class GatewayError(Exception):
    """The root of the tree.

    Attributes:
        message: what happened, and where.
        remedy: what the reader can do about it, as one sentence; empty when there is nothing to add.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class ConfigurationError(GatewayError):
    """Settings, a file, the environment or a command line cannot be used as they are."""


class HostListInvalid(ConfigurationError):
    """A host list that cannot be used: no shard, two with one name, a bad weight or epoch."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        source: the file, as the reader knows it.
        line: counted from 1, or None where it is not known.
        path: the field, such as ``spec.workers[0].name``; empty for the file as a whole.
        message: what is wrong with it.
    """

    source: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return ": ".join(part for part in (where, self.path, self.message) if part)


class ResourceInvalid(ConfigurationError):
    """A RealtimeGateway that cannot be used.

    Attributes:
        problems: all of them, at least one.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(["this resource cannot be used:", *map(str, problems)]))
        self.problems = problems


class StartError(GatewayError):
    """A process could not be started, or did not become ready."""


class MessageTooLarge(GatewayError):
    """A message is longer than the channel layer's ``max_message_size_bytes``; nothing was sent."""


class MembershipRefused(GatewayError):
    """A channel of another process could not be added to a group.

    Attributes:
        channel: the channel's name.
    """

    def __init__(self, channel: str, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.channel = channel


class ShardError(GatewayError):
    """Trouble with one Redis shard.

    Attributes:
        shard: its name in the host list; "" where the layer was closed before it answered.
    """

    def __init__(self, shard: str, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.shard = shard


class ShardUnavailable(ShardError):
    """The shard could not be reached within the send timeout; the message may or may not have been stored."""


class ShardRefused(ShardError):
    """The shard answered with an error; the message was not stored."""
