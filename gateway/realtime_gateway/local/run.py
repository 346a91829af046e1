"""A run of `up`: everything is checked, started by stages, kept as the file says, and stopped in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from realtime_gateway.console.site import Site
from realtime_gateway.console.web import WebServer
from realtime_gateway.local.child import in_parallel
from realtime_gateway.local.console import Console, make_console
from realtime_gateway.local.console_source import LocalSource
from realtime_gateway.local.host_roll import HostRoll, first_list
from realtime_gateway.local.options import UpOptions
from realtime_gateway.local.preflight import take
from realtime_gateway.local.present import Present
from realtime_gateway.local.process_group import ProcessGroup
from realtime_gateway.local.reconciling import Follower, who_answers
from realtime_gateway.local.redis_plan import console_name, make_plan, wanted_shards
from realtime_gateway.local.run_file import NAME as RUN_FILE
from realtime_gateway.local.run_file import RunFile
from realtime_gateway.local.secrets_written import WrittenSecrets
from realtime_gateway.local.watching import Watcher
from realtime_gateway.resource import RealtimeGateway
from realtime_gateway.resource.reading import parse_content, read_content
from realtime_gateway.resource.secret_documents import secret_contents, without_secrets

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What a second signal still leaves to a process before it is killed.
HURRY_SECONDS = 2.0


async def run(options: UpOptions) -> int:
    """Run the resource until a signal asks to stop.

    Raises:
        GatewayError: it could not start; everything that was started has been ended.
    """
    content = read_content(options.file)
    resource = parse_content(content, options.file)
    with _stop_signals() as signals:
        secrets = secret_contents(resource, content, options.file)
        taken = await take(resource, options, secrets)
        try:
            with closing(make_console(plain=options.plain)) as console:
                written = WrittenSecrets(taken.directory, taken.place.secrets_directory)
                written.write(secrets)
                shards = wanted_shards(resource, taken.ports)
                hosts, news = await first_list(resource, shards, taken.place.secrets_directory)
                if news:
                    console.say(news)
                plan = make_plan(resource, taken.place, taken.ports, hosts)
                group = ProcessGroup(taken, plan, console, written)
                await _Run(resource, content, options.file, group, console).until(signals)
        finally:
            taken.release()
    return 0


class _Run:
    def __init__(
        self, resource: RealtimeGateway, content: bytes, file: Path, group: ProcessGroup, console: Console
    ) -> None:
        self._resource = resource
        self._content = content
        self._file = file
        self._group = group
        self._console = console
        self._watcher = Watcher(resource.name, group, console)

    async def until(self, signals: asyncio.Queue[str]) -> None:
        """Run until a signal comes, or something fails; then end everything."""
        watching = asyncio.create_task(self._watcher.watch(), name="watch")
        working = asyncio.create_task(self._work(), name="work")
        signalled = asyncio.create_task(signals.get(), name="signal")
        try:
            await asyncio.wait([watching, working, signalled], return_when=asyncio.FIRST_COMPLETED)
            if signalled.done():
                self._console.say(f"{signalled.result()}: draining, then stopping; once more to hurry")
            await _ended(working, signalled)
            await self._stop(signals)
        finally:
            await _ended(watching)
            self._group.dismiss_watchdog()
        for task in (working, watching):
            if not task.cancelled():
                task.result()

    async def _work(self) -> None:
        present = Present(self._group, self._resource)
        async with self._served_console(present):
            await self._run(present)

    async def _run(self, present: Present) -> None:
        follower = Follower(self._file, self._content, present)
        present.write_hosts(present.state.hosts)
        self._group.taken.directory.write(present.place.resource_file, without_secrets(follower.text, self._file))
        await self._group.start()
        self._watcher.show_output()
        self._console.say(who_answers(self._resource, present.place))
        await in_parallel((follower.follow(), HostRoll(present).roll()))

    @asynccontextmanager
    async def _served_console(self, present: Present) -> AsyncIterator[None]:
        """Serve the web page; a run without it is a run."""
        taken = self._group.taken
        source = {self._resource.name: LocalSource(present, self._watcher)}
        server = WebServer(Site(lambda: source).handle, taken.ports[console_name(self._resource)])
        try:
            await server.start()
        except OSError as error:
            self._console.say(f"the web page is not served: {error.strerror}")
            yield
            return
        self._console.say(f"console: {server.url}")
        taken.directory.write(taken.place.directory / RUN_FILE, RunFile(taken.place.url, server.url).to_json())
        try:
            yield
        finally:
            await server.stop()

    async def _stop(self, signals: asyncio.Queue[str]) -> None:
        """End everything; a further signal hurries it, and one more kills what is left."""
        stopping = asyncio.create_task(self._group.stop(), name="stop")
        further = asyncio.create_task(signals.get(), name="further signal")
        await asyncio.wait([stopping, further], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            self._group.hurry()
            await asyncio.wait([stopping], timeout=HURRY_SECONDS)
        if not stopping.done():
            self._group.kill()
        await stopping
        await _ended(further)
        self._watcher.show_output()
        self._console.say("everything has ended")


@contextmanager
def _stop_signals() -> Iterator[asyncio.Queue[str]]:
    """Collect the names of the signals that ask to stop."""
    names: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, names.put_nowait, number.name)
    try:
        yield names
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def _ended(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
