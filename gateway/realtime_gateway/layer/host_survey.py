"""All shards asked at once what they hold, and told of a newer list: what `up` and `hosts` see and do.

It speaks for no process: the data plane follows lists by its own links.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from realtime_gateway.environment import Environment
from realtime_gateway.errors import ConfigurationError, HostListInvalid, ShardError
from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.hosts.rolling import Report
from realtime_gateway.layer.account import with_account
from realtime_gateway.layer.names import CONTROL, Names
from realtime_gateway.layer.options import label
from realtime_gateway.layer.shards.host_board import Board, News, Process, announce, look


@dataclass(frozen=True)
class Deployment:
    """Whose lists: the names in Redis, how documents are signed, and the account of whoever names none."""

    names: Names
    documents: Documents
    environment: Environment


@dataclass(frozen=True)
class Survey:
    """What each shard answered, by its name.

    Attributes:
        boards: of the shards that answered.
        hosts: the lists on them; None where a shard has none. A shard whose document cannot be read is not in it.
        troubles: why the others did not, or what is wrong with their document.
        unsigned: lists, in neither of the two, that none of the deployment's keys has signed: whoever can write to
            Redis may have put them there.
    """

    boards: Mapping[str, Board]
    hosts: Mapping[str, HostList | None]
    troubles: Mapping[str, str]
    unsigned: Mapping[str, HostList] = field(default_factory=dict)

    @property
    def newest(self) -> HostList | None:
        """The list of the greatest epoch."""
        return max((one for one in self.hosts.values() if one), key=lambda one: one.epoch, default=None)

    @property
    def processes(self) -> tuple[Process, ...]:
        """Every process that lives, as far as the shard that knows best says."""
        found: dict[str, Process] = {}
        for board in self.boards.values():
            for process in board.processes:
                known = found.get(process.id)
                if known is None or process.epoch >= known.epoch:
                    found[process.id] = process
        return tuple(sorted(found.values(), key=lambda process: (process.name, process.id)))

    @property
    def reports(self) -> tuple[Report, ...] | None:
        """What the processes report; None when no shard could be asked."""
        if not self.boards:
            return None
        return tuple(Report(process.name, process.epoch, process.expiry_seconds) for process in self.processes)


async def survey(shards: Iterable[Shard], deployment: Deployment) -> Survey:
    """Ask these shards, all at once; one that does not answer is a trouble, not an error."""
    asked = tuple(shards)
    answers = await asyncio.gather(*(_look(shard, deployment) for shard in asked))
    boards: dict[str, Board] = {}
    hosts: dict[str, HostList | None] = {}
    troubles: dict[str, str] = {}
    unsigned: dict[str, HostList] = {}
    for shard, answer in zip(asked, answers, strict=True):
        if isinstance(answer, str):
            troubles[shard.name] = answer
            continue
        boards[shard.name] = answer
        try:
            found = HostList.from_json(answer.document, "its host list") if answer.document else None
        except HostListInvalid as error:
            troubles[shard.name] = error.message
            continue
        if found is None or deployment.documents.accepts(found):
            hosts[shard.name] = found
        else:
            unsigned[shard.name] = found
    return Survey(boards, hosts, troubles, unsigned)


async def tell(shard: Shard, hosts: HostList, deployment: Deployment, *, expected: int | None = None) -> Board:
    """Bring one shard up to a list, and return what it holds then.

    Args:
        shard: which, and where it is.
        hosts: the list.
        deployment: whose it is.
        expected: write only if the shard is at exactly this epoch.

    Raises:
        ShardError: it does not answer, or refuses.
    """
    topic = deployment.names.topic(label(shard), CONTROL)
    news = News(hosts.epoch, deployment.documents.write(hosts), topic)
    connection = with_account(shard, deployment.environment)
    return await announce(shard.name, connection, deployment.names, news, expected=expected)


async def _look(shard: Shard, deployment: Deployment) -> Board | str:
    try:
        connection = with_account(shard, deployment.environment)
        return await look(shard.name, connection, deployment.names)
    except (ShardError, ConfigurationError) as error:  # the password's file may be missing
        return str(error)
