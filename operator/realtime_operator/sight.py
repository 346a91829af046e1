"""Kinds that the operator may not read: what it cannot see looks as if it were gone, so then it decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from realtime_operator.kube.client import KINDS, KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.plan import some
from realtime_operator.snapshot import Manifest
from realtime_operator.status import events, report
from realtime_operator.status.conditions import unsighted_status
from realtime_operator.target import KIND

_VERBS = ("list", "watch")
_AT_ONCE = 16
_SHOWN = 5
log = logging.getLogger(__name__)


async def lacking(client: KubeClient, kinds: Iterable[str], namespaces: Sequence[str]) -> tuple[str, ...]:
    """Return the rights to read that the operator lacks, such as ``list pods``; nothing where that cannot be asked.

    Raises:
        KubeError: the API server did not answer.
    """
    turns = asyncio.Semaphore(_AT_ONCE)

    async def missing(verb: str, kind: str, namespace: str) -> str:
        async with turns:
            allowed = await client.may(verb, kind, namespace)
        where = f" in {namespace}" if namespace else ""
        return "" if allowed else f"{verb} {KINDS[kind].plural}{where}"

    questions = [(verb, kind, namespace) for kind in kinds for verb in _VERBS for namespace in namespaces or ("",)]
    answers = await asyncio.gather(*(missing(*question) for question in questions))
    return tuple(filter(None, answers))


async def tell(client: KubeClient, rights: Sequence[str], namespaces: Sequence[str], instance: str) -> None:
    """Say in the log and on every resource what the operator has to be allowed; nothing else is touched.

    Raises:
        KubeError: the resources could not be listed.
    """
    message = f"The operator decides nothing, since it may not {some(rights, _SHOWN)}. Give it these rights."
    log.error("%s", message)
    for resource in await client.list(KIND, namespaces):
        with suppress(KubeError):  # the log has said it, and others can be told
            await _tell(client, resource, message, instance)


async def _tell(client: KubeClient, resource: Manifest, message: str, instance: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    before = resource.get("status", {})
    status = unsighted_status(message, before, int(resource["metadata"].get("generation", 0)), now)
    if await report.write(client, resource, status) is not None:
        news = events.transitions(before.get("conditions", ()), status["conditions"])
        await events.announce(client, [events.event(resource, one, now, instance) for one in news])
