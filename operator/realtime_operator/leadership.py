"""Which of several operators acts: a Lease, renewed in time, and believed only as long as it surely holds.

The leader writes its name every 10 s and stops believing 5 s before others may take over, whatever answers it got, or
did not. Others take over when they have seen the same renewal for the Lease's whole time by their own clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from realtime_operator import recording
from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.snapshot import ObjectKey

LEASE_SECONDS = 30
RENEW_SECONDS = 10.0
MARGIN_SECONDS = 5.0
log = logging.getLogger(__name__)


class Leadership:
    """One operator's part in it.

    Attributes:
        leading: set while this operator leads.
    """

    def __init__(
        self, client: KubeClient, namespace: str, name: str, identity: str, clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._key = ObjectKey("Lease", name)
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._lead_until = 0.0
        self._held: dict[str, Any] | None = None
        self._seen: tuple[object, float] = (None, clock())
        self.leading = asyncio.Event()

    def leads(self) -> bool:
        """Whether this operator may write now."""
        if self.leading.is_set() and self._clock() >= self._lead_until:
            log.warning("The Lease could not be renewed in time; somebody else may lead now.")
            self._follow()
        return self.leading.is_set()

    async def run(self) -> None:
        """Take part until cancelled, and then give the lead away at once."""
        try:
            while True:
                try:
                    await self._take_part()
                except KubeError as error:
                    log.warning("The Lease: %s", error)
                    self._held = None
                self.leads()  # says so where the time is over and no pass has asked
                await asyncio.sleep(RENEW_SECONDS)
        finally:
            held = self._held if self.leads() else None
            self._follow()
            if held is not None:
                await asyncio.shield(self._give_away(held))

    async def _take_part(self) -> None:
        begun = self._clock()
        lease = self._held if self.leads() and self._held is not None else await self._read()
        if lease is None:
            written = await self._client.create(self._manifest({}))
        elif not self._may_take(lease, begun):
            self._follow()
            return
        else:
            written = await self._client.replace(self._manifest(lease))
        self._held = written
        self._lead_until = begun + LEASE_SECONDS - MARGIN_SECONDS
        if not self.leading.is_set():
            log.info("%s leads.", self._identity)
            self.leading.set()
            recording.leads(True)

    def _follow(self) -> None:
        """Lead no more, from here on."""
        self.leading.clear()
        recording.leads(False)

    async def _read(self) -> dict[str, Any] | None:
        try:
            return await self._client.get(self._key, self._namespace)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def _may_take(self, lease: dict[str, Any], now: float) -> bool:
        spec = lease.get("spec", {})
        if spec.get("holderIdentity") in (None, "", self._identity):
            return True
        renewal = (spec["holderIdentity"], spec.get("renewTime"))
        if renewal != self._seen[0]:
            self._seen = (renewal, now)
        return now - self._seen[1] >= float(spec.get("leaseDurationSeconds", LEASE_SECONDS))

    def _manifest(self, before: dict[str, Any], *, holder: str | None = None) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        metadata = {"name": self._key.name, "namespace": self._namespace}
        if before:
            metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        spec = {
            "holderIdentity": self._identity if holder is None else holder,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _give_away(self, held: dict[str, Any]) -> None:
        try:
            await self._client.replace(self._manifest(held, holder=""))
        except KubeError as error:
            log.info("The Lease was not given away: %s", error)
