"""One task per resource: wait for a change, wait for the lead, pass; never two passes of one resource at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from random import Random

from realtime_operator import recording, tracing
from realtime_operator.apply.perform import NotLeading
from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.leadership import Leadership
from realtime_operator.observe.glance import fingerprint
from realtime_operator.observe.object_cache import ObjectCache, ResourceKey
from realtime_operator.observe.switchovers import Switchovers
from realtime_operator.options import Options
from realtime_operator.reconciler import Pass, Reconciler
from realtime_operator.snapshot import Address, Fleet, Snapshot, Unknown

# Without any change everything is looked at again after this, give or take a fifth so that resources spread out.
REST_SECONDS = 600.0
GLANCE_SECONDS = 5.0
# Connections come and go all the time: they alone make a pass at most this often.
CONNECTIONS_SECONDS = 30.0
BURST_SECONDS = 0.05
PASS_SECONDS = 60.0
PASSES_AT_ONCE = 8
# Passes in a row that all changed something: more than any start needs. Then something else changes it back.
RESTLESS_PASSES = 40
LONGEST_SECONDS = 300.0
log = logging.getLogger(__name__)


class Following:
    """The tasks of all resources."""

    def __init__(
        self,
        options: Options,
        client: KubeClient,
        cache: ObjectCache,
        leadership: Leadership,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._options = options
        self._client = client
        self._cache = cache
        self._leadership = leadership
        self._clock = clock
        self._random = random
        self._all_read = asyncio.Event()
        self._turns = asyncio.Semaphore(PASSES_AT_ONCE)
        self._tasks: dict[ResourceKey, asyncio.Task[None]] = {}
        self._changed: dict[ResourceKey, asyncio.Event] = {}

    def all_is_read(self) -> None:
        """Everything that was there at the start is in the cache: passes may begin."""
        self._all_read.set()

    def begin(self, key: ResourceKey) -> None:
        """Follow a resource, or look at it again."""
        if key not in self._tasks:
            self._changed[key] = asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._follow(key), name=f"follow {key[0]}/{key[1]}")
            recording.follows(len(self._tasks))
        self.wake(key)

    def wake(self, key: ResourceKey) -> None:
        """Something of a resource has changed; of one that is not followed nothing is to be done."""
        if key in self._changed:
            self._changed[key].set()

    def end(self, key: ResourceKey) -> None:
        """A resource is gone: what it owned goes by itself."""
        task = self._tasks.pop(key, None)
        self._changed.pop(key, None)
        if task is not None:
            task.cancel()
            recording.gone(*key)
            recording.follows(len(self._tasks))

    async def close(self) -> None:
        """End all tasks."""
        tasks = list(self._tasks.values())
        for key in list(self._tasks):
            self.end(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, key: ResourceKey) -> None:
        may_write = self._leadership.leads
        reconciler = Reconciler(key, self._options, self._client, self._cache, may_write, self._clock)
        changed = self._changed[key]
        switchovers = Switchovers(reconciler.servers, changed.set)
        try:
            await self._all_read.wait()
            failures = restless = 0
            while True:
                await self._leadership.leading.wait()
                changed.clear()
                done = await self._pass(reconciler, key)
                if done is not None and done.snapshot is not None:
                    switchovers.listen_at(_sentinels(done.snapshot))
                failures = failures + 1 if done is None else 0
                restless = restless + 1 if done is not None and _acted(done) else 0
                await asyncio.sleep(BURST_SECONDS)
                await self._wait(reconciler, changed, done, self._pause(key, max(failures, restless - RESTLESS_PASSES)))
        finally:
            await switchovers.close()
            await reconciler.servers.close()

    async def _pass(self, reconciler: Reconciler, key: ResourceKey) -> Pass | None:
        """One pass; None when it failed as a whole."""
        begun, result = self._clock(), ""
        try:
            async with self._turns:
                begun = self._clock()
                done = await self._traced(reconciler, key)
            result = recording.DONE if _acted(done) else recording.RESTED
            return done
        except NotLeading:
            result = recording.NOT_LEADING
            log.info("%s/%s: somebody else leads now", *key)
        except (KubeError, TimeoutError) as error:
            result = recording.FAILED
            log.warning("%s/%s: %s", *key, str(error) or f"no end after {PASS_SECONDS:g} s")
        except Exception:
            # A fault of ours in one resource must not end the others; it is tried again, ever more seldom.
            result = recording.FAILED
            log.exception("%s/%s: a pass failed", *key)
        finally:
            if result:  # one that was cancelled came to nothing
                recording.passed(result, self._clock() - begun)
        return None

    async def _traced(self, reconciler: Reconciler, key: ResourceKey) -> Pass:
        with tracing.reconcile(*key) as span:
            try:
                async with asyncio.timeout(PASS_SECONDS):
                    done = await reconciler.run()
            except NotLeading:
                span.note(tracing.RESULT, recording.NOT_LEADING)
                raise
            except Exception:
                span.note(tracing.RESULT, recording.FAILED)
                raise
            span.note(tracing.RESULT, recording.DONE if _acted(done) else recording.RESTED)
            return done

    def _pause(self, key: ResourceKey, times: int) -> float:
        """How long to rest after so many failures, or after so many passes that should not have been needed."""
        if times <= 0:
            return 0.0
        seconds = min(2.0**times, LONGEST_SECONDS)
        log.info("%s/%s: next look in %.0f s", *key, seconds)
        return seconds

    async def _wait(self, reconciler: Reconciler, changed: asyncio.Event, done: Pass | None, pause: float) -> None:
        """Wait for a change, for the time that the plan named, or for Redis to look different."""
        if pause:
            await asyncio.sleep(pause)
            return
        if done is None or _acted(done):
            return
        until = self._clock() + self._rest(reconciler, done)
        seen_at = self._clock()
        while (left := until - self._clock()) > 0:
            if await _set_within(changed, min(left, GLANCE_SECONDS)):
                return
            if done.snapshot is not None and done.snapshot.shards and await self._differs(reconciler, done, seen_at):
                return

    def _rest(self, reconciler: Reconciler, done: Pass) -> float:
        rest = REST_SECONDS * self._random.uniform(0.8, 1.2)
        if done.plan.look_again_seconds is not None:
            rest = min(rest, done.plan.look_again_seconds)
        retry = reconciler.backoff.next_try()
        return rest if retry is None else min(rest, max(retry - self._clock(), BURST_SECONDS))

    async def _differs(self, reconciler: Reconciler, done: Pass, seen_at: float) -> bool:
        assert done.snapshot is not None
        snapshot = await reconciler.glance()
        if snapshot is None or fingerprint(snapshot) != fingerprint(done.snapshot):
            return True
        overdue = self._clock() - seen_at > CONNECTIONS_SECONDS
        return overdue and _connections(snapshot) != _connections(done.snapshot)


def _acted(done: Pass) -> bool:
    """Whether a pass has changed anything: then the next one follows at once, and decides on what came of it."""
    return any(outcome.done for outcome in done.outcomes)


def _sentinels(snapshot: Snapshot) -> Iterator[Address]:
    """Where Sentinels answer."""
    for sentinel in snapshot.sentinels:
        if sentinel.address is not None and not isinstance(sentinel.answers, Unknown):
            yield sentinel.address


def _connections(snapshot: Snapshot) -> int:
    return snapshot.fleet.connections if isinstance(snapshot.fleet, Fleet) else 0


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
