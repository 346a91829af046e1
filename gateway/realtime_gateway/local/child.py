"""One child process: started, watched until it is ready, started again when it ends by itself, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from realtime_gateway.errors import StartError
from realtime_gateway.local import launch
from realtime_gateway.local.back_off import BackOff
from realtime_gateway.local.child_log import ChildLog
from realtime_gateway.local.plan import ProcessPlan

START_SECONDS = 60.0
STEP_SECONDS = 0.1


class State(Enum):
    """The life of a child."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


TRANSITIONS = {
    State.WAITING: {State.STARTING, State.STOPPED},
    State.STARTING: {State.READY, State.BACKING_OFF, State.STOPPING, State.STOPPED},
    State.READY: {State.BACKING_OFF, State.STOPPING, State.STOPPED},
    State.BACKING_OFF: {State.STARTING, State.STOPPED},
    State.STOPPING: {State.STOPPED},
    State.STOPPED: {State.STARTING, State.BACKING_OFF},
}


class Surroundings(Protocol):
    """What a child needs of the run it belongs to."""

    def say(self, line: str) -> None:
        """Tell the person who watches."""

    def started(self, pid: int) -> None:
        """Note a process group that must not outlive the run."""

    def ended(self, pid: int) -> None:
        """Forget it."""

    async def command_line(self, plan: ProcessPlan, first_start: bool) -> tuple[str, ...]:
        """Return what to execute now; waits while that is being decided."""

    async def not_ready(self, plan: ProcessPlan, pid: int, running_seconds: float) -> str | None:
        """Return what a running process still lacks; None when it is ready."""


class Child:
    """One process of the plan, over all its restarts.

    Attributes:
        plan: what runs.
        state: where it is in its life.
        pid: of the running process, else None.
        restarts: how often it was started again after it had ended by itself.
        lacking: what it waits for, while it starts.
    """

    def __init__(self, plan: ProcessPlan, logs: Path, surroundings: Surroundings, pass_fds: tuple[int, ...] = ()):
        self.plan = plan
        self.state = State.WAITING
        self.pid: int | None = None
        self.restarts = 0
        self.lacking = ""
        self.log = ChildLog(logs / f"{plan.name}.log")
        self._surroundings = surroundings
        self._pass_fds = pass_fds
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and return when it is ready; from then on it is started again when it ends.

        Raises:
            StartError: it ended, or was not ready in time; the message has the end of its log.
        """
        began = time.monotonic()
        await self._launch(first_start=True)
        await self._until_ready(began + START_SECONDS)
        if self.state is not State.READY:
            raise self._start_error()
        self._keeping = asyncio.create_task(self._keep_running(time.monotonic()), name=f"keep {self.plan.name}")

    async def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL when its time is over. May be called in any state, more than once."""
        await self._cancel_keeping()
        process = self._process
        if process is not None and process.returncode is None:
            if self.state is not State.STOPPING:
                self._enter(State.STOPPING)
            _signal(process, signal.SIGTERM)
            try:
                async with asyncio.timeout(self.plan.stop_seconds):
                    await process.wait()
            except TimeoutError:
                seconds = self.plan.stop_seconds
                self._surroundings.say(f"{self.plan.name} did not end within {seconds:.0f} s and is killed")
        await self._bury()
        if self.state is not State.STOPPED:
            self._enter(State.STOPPED)

    def hurry(self) -> None:
        """Tell a child that is being stopped to end at once."""
        if self._process is not None and self._process.returncode is None:
            _signal(self._process, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and what it has started, without waiting."""
        if self._process is not None and self._process.returncode is None:
            _kill_group(self._process.pid)

    async def restart(self, plan: ProcessPlan) -> None:
        """Stop it, and start it as ``plan`` says; raises StartError as ``start`` does."""
        await self.stop()
        self.plan = plan
        await self.start()

    async def go_back(self, plan: ProcessPlan) -> None:
        """Restart it by a plan that it ran by before; where that fails now, it is tried again as after a crash."""
        try:
            await self.restart(plan)
        except StartError:
            await self.stop()
            keeping = self._keep_running(time.monotonic(), "does not start as before either")
            self._keeping = asyncio.create_task(keeping, name=f"keep {plan.name}")

    async def _launch(self, *, first_start: bool) -> None:
        """Start the process; raises StartError when the system refuses to."""
        self._enter(State.STARTING)
        self.lacking = ""
        command = await self._surroundings.command_line(self.plan, first_start)
        try:
            with self.log.begin() as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *command),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    cwd=self.plan.working_directory,
                    env={**os.environ, **dict(self.plan.environment)},
                    # A session of its own: the terminal's Ctrl-C is for `up` alone, and the group can be ended as one.
                    start_new_session=True,
                    pass_fds=self._pass_fds,
                )
        except OSError as error:
            raise StartError(f"{self.plan.name} cannot be started: {error.strerror}: {error.filename}.") from error
        self.pid = self._process.pid
        self._surroundings.started(self.pid)

    async def _until_ready(self, deadline: float) -> None:
        """Return when it is ready, has ended, or (where ``deadline`` comes first) is late."""
        process = self._running()
        began = time.monotonic()
        while process.returncode is None and time.monotonic() < deadline:
            lacking = await self._surroundings.not_ready(self.plan, process.pid, time.monotonic() - began)
            self.lacking = lacking or ""
            if lacking is None and process.returncode is None:
                self._enter(State.READY)
                return
            await _ended_within(process, STEP_SECONDS)

    async def _keep_running(self, ready_since: float, how: str = "") -> None:
        """Start it again whenever it ends, until cancelled; ``how`` says that, and how, it has ended already."""
        back_off, since = BackOff(), ready_since
        how = how or await self._end()
        while True:
            back_off = back_off.after_end(time.monotonic() - since)
            reason = self._reason()
            self._enter(State.BACKING_OFF)
            again = f"{self.plan.name} {how}; it is started again in {back_off.delay_seconds:g} s"
            self._surroundings.say(again + "".join(f"\n    {line}" for line in reason))
            await asyncio.sleep(back_off.delay_seconds)
            self.restarts += 1
            since = time.monotonic()
            try:
                await self._launch(first_start=False)
            except StartError as error:
                how = error.message.removeprefix(f"{self.plan.name} ").rstrip(".")
                continue
            await self._until_ready(float("inf"))
            if self.state is State.READY:
                self._surroundings.say(f"{self.plan.name} is back (process {self.pid})")
            how = await self._end()

    async def _end(self) -> str:
        code = await self._running().wait()
        await self._bury()
        return f"ended {_how(code)}"

    def _reason(self) -> list[str]:
        """Return the end of the log where the child itself said why it ended."""
        return self.log.last_lines()[-3:] if self.state is State.STARTING else []

    async def _bury(self) -> None:
        """Kill what the child has left of its own children, and wait until it is gone itself."""
        if self._process is None:
            return
        _kill_group(self._process.pid)
        await self._process.wait()
        self._surroundings.ended(self._process.pid)
        self._process = None
        self.pid = None

    async def _cancel_keeping(self) -> None:
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait([keeping])

    def _start_error(self) -> StartError:
        code = self._running().returncode
        what = f"ended {_how(code)} while it started" if code is not None else self._lateness()
        lines = "".join(f"\n    {line}" for line in self.log.last_lines())
        return StartError(f"{self.plan.name} {what}.{lines and ' It said:'}{lines}")

    def _lateness(self) -> str:
        return f"was not ready within {START_SECONDS:.0f} s: it {self.lacking}"

    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, f"{self.plan.name} was not started"
        return self._process

    def _enter(self, state: State) -> None:
        assert state in TRANSITIONS[self.state], f"{self.plan.name}: {self.state} → {state}"
        self.state = state


async def in_parallel(actions: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all; when one fails, cancel the others, wait until they have ended, and raise what it raised."""
    tasks = [asyncio.create_task(action) for action in actions]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _ended_within(process: asyncio.subprocess.Process, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        pass


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        process.send_signal(number)


def _kill_group(pid: int) -> None:
    # Nothing of it is left; macOS answers EPERM for a group of zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _how(code: int) -> str:
    if code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
