"""All children of a run: started by stages, changed to another plan, stopped in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from realtime_gateway.errors import StartError
from realtime_gateway.local.child import Child, State, in_parallel
from realtime_gateway.local.console import Console
from realtime_gateway.local.plan import LOOPBACK, STOP_ORDER, Changes, Kind, Plan, ProcessPlan, RedisAnswers, Stage
from realtime_gateway.local.preflight import Taken
from realtime_gateway.local.readiness import lacking, redis_complaint
from realtime_gateway.local.redis_questions import role
from realtime_gateway.local.redis_role import Siblings, primary_to_follow
from realtime_gateway.local.secrets_written import WrittenSecrets, shard_urls
from realtime_gateway.local.watchdog_process import Watchdog

WORDS = {
    Kind.REDIS: "Redis primary",
    Kind.SENTINEL: "Sentinel",
    Kind.CACHE: "cache",
    Kind.GATEWAY: "gateway",
    Kind.WORKER: "worker",
}
PLURALS = {"Redis primary": "Redis primaries"}


class ProcessGroup:
    """The children of a run, and what each of them needs of it.

    Args:
        taken: directory, ports and sockets.
        plan: what should run.
        console: told of everything that happens.
        secrets: the files with secrets.

    Attributes:
        plan: what should run now.
        children: by name, in the order of the plan.
        is_ready: whether everything of the first plan has become ready.
    """

    def __init__(self, taken: Taken, plan: Plan, console: Console, secrets: WrittenSecrets) -> None:
        self.taken = taken
        self.plan = plan
        self.is_ready = False
        self.children: dict[str, Child] = {}
        self.secrets = secrets
        self._console = console
        self._never_linked: dict[str, bool] = {}
        self._watchdog = Watchdog(taken.directory.path, taken.directory.lock)
        self._logs = taken.place.directory / "logs"
        self._logs.mkdir(mode=0o700)

    def shard_urls(self) -> tuple[str, ...]:
        """Where the heartbeats of channel layers can be read now."""
        return shard_urls(self.plan, self.secrets.contents)

    async def start(self) -> None:
        """Start every process of the plan; raises StartError when one does not get ready."""
        for process in self.plan.processes:
            self._add(process)
        for stage in Stage:
            children = [child for child in self.children.values() if child.plan.stage is stage]
            if children:
                self.say(f"starting {_counted(children)}")
            await in_parallel(child.start() for child in children)
        self.is_ready = True

    async def stop(self) -> None:
        """End everything, gateways first; may be cancelled and called again."""
        for kinds in STOP_ORDER:
            children = [child for child in self.children.values() if child.plan.kind in kinds]
            await in_parallel(child.stop() for child in children)

    def hurry(self) -> None:
        """Let what is being stopped end at once."""
        for child in self.children.values():
            if child.state is State.STOPPING:
                child.hurry()

    def kill(self) -> None:
        """Kill everything, without waiting."""
        for child in self.children.values():
            child.kill()

    def dismiss_watchdog(self) -> None:
        """Send the watchdog away; every child has been stopped."""
        self._watchdog.dismiss()

    async def change(self, plan: Plan, steps: Changes) -> None:
        """Become another plan: changed processes one after the other, then new ones, then those that must go.

        Raises:
            StartError: a changed process did not get ready; all of them run as before again, and what does not even do
                that any more is tried again as after a crash.
        """
        before = {name: child.plan for name, child in self.children.items()}
        for number, process in enumerate(steps.restart):
            self.say(f"restarting {process.name}: its part of the resource has changed")
            try:
                await self.children[process.name].restart(process)
            except StartError:
                for changed in steps.restart[: number + 1]:
                    await self.children[changed.name].go_back(before[changed.name])
                raise
        self.plan = plan
        for process in steps.keep:
            self.children[process.name].plan = process
        for process in steps.start:
            self._add(process)
        await in_parallel(self._start_new(self.children[process.name]) for process in steps.start)
        # What did not start is new again to the next edit.
        self.plan = replace(plan, processes=tuple(p for p in plan.processes if p.name in self.children))
        await in_parallel(self._remove(self.children[process.name]) for process in steps.stop)

    # What a child needs (child.Surroundings).

    def say(self, line: str) -> None:
        """Tell the person who watches."""
        self._console.say(line)

    def started(self, pid: int) -> None:
        """Note a process group that must not outlive the run."""
        self._watchdog.started(pid)

    def ended(self, pid: int) -> None:
        """Forget it."""
        self._watchdog.ended(pid)

    async def command_line(self, plan: ProcessPlan, first_start: bool) -> tuple[str, ...]:
        """Return what to execute now; a Redis server that comes back waits until its role is known."""
        if not isinstance(plan.readiness, RedisAnswers):
            return plan.argv
        asked = plan.readiness
        primary_port = asked.primary_port
        if not first_start and asked.shard:
            primary_port = await primary_to_follow(plan.name, asked, self._siblings(asked), self.say)
        self._never_linked[plan.name] = primary_port is not None
        return plan.argv if primary_port is None else (*plan.argv, "--replicaof", LOOPBACK, str(primary_port))

    async def not_ready(self, plan: ProcessPlan, pid: int, running_seconds: float) -> str | None:
        """Return what a running process still lacks; None when it is ready."""
        if not isinstance(plan.readiness, RedisAnswers):
            return await lacking(plan.readiness, pid, running_seconds, self.shard_urls())
        present = await role(plan.readiness.port)
        complaint = redis_complaint(plan.readiness, present)
        if complaint is None and present and present.is_primary and self._never_linked[plan.name]:
            self.say(f"{plan.name} took over before it had any data: what {plan.readiness.shard} held is lost")
        return complaint

    def _siblings(self, asked: RedisAnswers) -> Siblings:
        servers = [
            process.readiness.port
            for process in self.plan.processes
            if isinstance(process.readiness, RedisAnswers) and process.readiness.shard == asked.shard
        ]
        return Siblings(self.plan.sentinel_ports, tuple(port for port in servers if port != asked.port))

    def _add(self, process: ProcessPlan) -> None:
        if process.working_directory.is_relative_to(self.taken.place.directory):
            process.working_directory.mkdir(mode=0o700, exist_ok=True)
        for path, text in process.files:
            self.taken.directory.write(path, text)
        descriptor = self.taken.place.listening_fd
        self.children[process.name] = Child(process, self._logs, self, () if descriptor is None else (descriptor,))

    async def _start_new(self, child: Child) -> None:
        self.say(f"starting {child.plan.name}")
        try:
            await child.start()
        except StartError as error:
            self.say(f"{error} It is left out until the resource is edited again.")
            await self._remove(child)
        else:
            self.say(f"{child.plan.name} is ready (process {child.pid})")

    async def _remove(self, child: Child) -> None:
        was_running = child.pid is not None
        if was_running:
            self.say(f"stopping {child.plan.name}")
        await child.stop()
        child.log.remove()
        del self.children[child.plan.name]
        if was_running:
            self.say(f"{child.plan.name} has ended")


def _counted(children: Iterable[Child]) -> str:
    words = Counter("replica" if child.plan.stage is Stage.REPLICAS else WORDS[child.plan.kind] for child in children)
    return ", ".join(
        f"1 {word}" if count == 1 else f"{count} {PLURALS.get(word, word + 's')}" for word, count in words.items()
    )
