"""Kinds that the operator may not read: what it cannot see looks as if it were gone, so then it decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from realtime_operator.kube.client import KINDS, KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.status import events, report
from realtime_operator.status.conditions import unsighted_status
from realtime_operator.target import KIND

_VERBS = ("list", "watch")
log = logging.getLogger(__name__)


async def lacking(client: KubeClient, kinds: Iterable[str], namespaces: Sequence[str]) -> tuple[str, ...]:
    """Return the rights to read that the operator lacks, such as ``list pods``; nothing where that cannot be asked.

    Raises:
        KubeError: the API server did not answer.
    """
    found = []
    for kind in kinds:
        for verb in _VERBS:
            for namespace in namespaces or ("",):
                if not await client.may(verb, kind, namespace):
                    where = f" in {namespace}" if namespace else ""
                    found.append(f"{verb} {KINDS[kind].plural}{where}")
    return tuple(found)


async def tell(client: KubeClient, rights: Sequence[str], namespaces: Sequence[str], instance: str) -> None:
    """Say in the log and on every resource what the operator has to be allowed; nothing else is touched."""
    message = f"The operator decides nothing, since it may not {', '.join(rights)}. Give it these rights."
    log.error("%s", message)
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    with suppress(KubeError):  # the log has said it
        for resource in await client.list(KIND, namespaces):
            before = resource.get("status", {})
            status = unsighted_status(message, before, int(resource["metadata"].get("generation", 0)), now)
            if await report.write(client, resource, status) is not None:
                news = events.transitions(before.get("conditions", ()), status["conditions"])
                await events.announce(client, [events.event(resource, one, now, instance) for one in news])
