"""One pass for one resource: parse, observe, decide, apply, report. Everything it knows it reads again each time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from realtime_gateway.errors import ResourceInvalid
from realtime_gateway.hosts import HostList
from realtime_gateway.resource.parsing import parse_resource
from realtime_operator import recording, tracing
from realtime_operator.apply.backoff import Backoff
from realtime_operator.apply.perform import Means, NotLeading, perform
from realtime_operator.decide.checklist import decide
from realtime_operator.kube.client import KubeClient
from realtime_operator.objects import accounts, identity
from realtime_operator.observe.failed_mounts import FailedMounts
from realtime_operator.observe.gateway_pods import pods_by_component
from realtime_operator.observe.object_cache import ObjectCache, ResourceKey
from realtime_operator.observe.observing import observe
from realtime_operator.observe.redis_servers import RedisServers
from realtime_operator.observe.refused_pods import RefusedPods
from realtime_operator.observe.tls_secret import TlsSecret
from realtime_operator.options import Options
from realtime_operator.plan import Outcome, Plan
from realtime_operator.snapshot import Fleet, Manifest, ObjectKey, Snapshot, Unknown
from realtime_operator.status import events, report
from realtime_operator.status.conditions import Status, invalid_status, status_of
from realtime_operator.target import KIND, Target

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pass:
    """What a pass came to.

    Attributes:
        snapshot: what it saw; None when there was nothing to look at.
    """

    plan: Plan = field(default_factory=Plan)
    outcomes: tuple[Outcome, ...] = ()
    snapshot: Snapshot | None = None


@dataclass(frozen=True)
class Sight:
    """What was looked at, and what was seen."""

    target: Target
    snapshot: Snapshot


class Reconciler:
    """Passes for one resource, and the few things that outlive a pass: connections, waits, since when facts hold."""

    def __init__(
        self,
        key: ResourceKey,
        options: Options,
        client: KubeClient,
        cache: ObjectCache,
        may_write: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._namespace, self._name = key
        self._options = options
        self._cache = cache
        self._clock = clock
        self._since: dict[str, float] = {}
        self._refused: tuple[Outcome, ...] = ()
        self.backoff = Backoff()
        self._tls = TlsSecret(client, clock)
        self.servers = RedisServers(lambda: self._password("operator"), self._tls.for_connections)
        self._refused_pods = RefusedPods(client, clock)
        self._failed_mounts = FailedMounts(client, clock)
        self._means = Means(client, cache, self.servers, self.backoff, may_write, lambda: self._password("sentinel"))

    @property
    def resource(self) -> Manifest | None:
        """The resource as it was seen last; None when it is gone or going."""
        seen = self._cache.get(self._namespace, ObjectKey(KIND, self._name))
        return None if seen is None or "deletionTimestamp" in seen["metadata"] else seen

    async def run(self) -> Pass:
        """One pass.

        Raises:
            NotLeading: somebody else leads now.
            KubeError: the status could not be written.
        """
        resource = self.resource
        if resource is None:
            return Pass()
        try:
            target = self._target(resource)
        except ResourceInvalid as error:
            await self._report(
                resource, invalid_status(_generation(resource), _problems(error), _status(resource), _now())
            )
            return Pass()
        with tracing.step("observe") as span:
            objects = self._objects(target)
            refused = await self._refused_pods.look(target.namespace, objects)
            failed = await self._failed_mounts.look(target.namespace, objects)
            # Last of all that is looked at is Redis: what is decided on it acts at once.
            snapshot = replace(await self.look(target), refused_pods=refused, failed_mounts=failed)
            _tell_what_was_seen(span, snapshot)
        with tracing.step("decide") as span:
            plan = decide(target, snapshot)
            span.note(tracing.ACTIONS, [type(action).__name__ for action in plan.actions])
            span.note(tracing.FINDINGS, [f"{one.type} {one.reason}: {one.message}" for one in plan.findings])
        self._since = {fact: self._since.get(fact, self._clock()) for fact in plan.facts}
        outcomes = await perform(target, plan.actions, self._means, self._clock)
        self._log(outcomes)
        status = status_of(target, snapshot, plan, outcomes, _status(resource), _now())
        await self._report(resource, status)
        return Pass(plan, outcomes, snapshot)

    async def glance(self) -> Snapshot | None:
        """Look without deciding."""
        seen = await self.sight()
        return None if seen is None else seen.snapshot

    async def sight(self) -> Sight | None:
        """Look without deciding, and say at what; None where there is no resource that could be understood."""
        resource = self.resource
        if resource is None:
            return None
        try:
            target = self._target(resource)
        except ResourceInvalid:
            return None
        return Sight(target, await self.look(target))

    async def look(self, target: Target) -> Snapshot:
        """One look at everything."""
        trouble = await self._tls.look(target)
        return replace(await observe(target, self._cache, self.servers, self._held()), tls_trouble=trouble)

    def _objects(self, target: Target) -> Snapshot:
        """A look at the cluster's objects and pods alone."""
        return Snapshot(
            objects=self._cache.owned_by(target.namespace, target.uid),
            pods=pods_by_component(self._cache.pods_of(target.namespace, target.name)),
            held_seconds=self._held(),
        )

    def _held(self) -> dict[str, float]:
        return {fact: self._clock() - since for fact, since in self._since.items()}

    def _target(self, resource: Manifest) -> Target:
        parsed = parse_resource(resource)
        metadata = resource["metadata"]
        paused = metadata.get("annotations", {}).get(identity.PAUSE_ANNOTATION, "false") != "false"
        return Target(
            name=parsed.name,
            namespace=parsed.namespace,
            uid=metadata["uid"],
            generation=_generation(resource),
            spec=parsed.spec,
            written=resource["spec"],
            default_image=self._options.default_image,
            operator_namespace=self._options.namespace,
            paused=paused,
        )

    async def _report(self, resource: Manifest, status: Status) -> None:
        if not self._means.may_write():
            raise NotLeading
        recording.reported(self._namespace, self._name, status)
        before = _status(resource).get("conditions", ())
        with tracing.step("report"):
            written = await report.write(self._means.client, resource, status)
        if written is None:
            return
        self._cache.put(written)
        news = events.transitions(before, status["conditions"])
        told = [events.event(resource, condition, _now(), self._options.identity) for condition in news]
        await events.announce(self._means.client, told)

    def _password(self, user: str) -> str:
        """A password as it is in the cluster now; empty while there is none."""
        resource = self.resource
        name = f"{self._name}-redis-passwords"
        seen = self._cache.get(self._namespace, ObjectKey("Secret", name))
        if resource is None or seen is None or not accounts.is_complete(seen):
            return ""
        return accounts.read_passwords(seen)[user]

    def _log(self, outcomes: tuple[Outcome, ...]) -> None:
        """Say what was done, and what was refused, once: an action that waits to be tried again stands in each pass."""
        for outcome in outcomes:
            if outcome.done or outcome not in self._refused:
                level = logging.INFO if outcome.done else logging.WARNING
                log.log(level, "%s/%s: %r: %s", self._namespace, self._name, outcome.action, outcome.message or "done")
        self._refused = tuple(outcome for outcome in outcomes if not outcome.done)


def _tell_what_was_seen(span: tracing.Step, snapshot: Snapshot) -> None:
    servers = [member for shard in snapshot.shards for member in shard.members]
    silent = [str(one.address or one.pod) for one in servers if isinstance(one.server, Unknown)]
    if silent:
        span.note(tracing.SILENT, silent)
    if not isinstance(snapshot.hosts, HostList):
        return
    span.note(tracing.EPOCH, snapshot.hosts.epoch)
    if isinstance(snapshot.fleet, Fleet):
        processes = len(snapshot.fleet.processes)
        span.note(tracing.PROCESSES, processes)
        span.note(tracing.PROCESSES_AT_EPOCH, processes - len(snapshot.fleet.behind(snapshot.hosts.epoch)))


def _generation(resource: Manifest) -> int:
    return int(resource["metadata"].get("generation", 0))


def _status(resource: Manifest) -> Status:
    return dict(resource.get("status", {}))


def _problems(error: ResourceInvalid) -> str:
    return "\n".join(f"{problem.path}: {problem.message}" for problem in error.problems)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
