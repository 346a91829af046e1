"""Following the file: an edit is read, compared with what runs, and carried out; a broken one changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from realtime_gateway.errors import GatewayError
from realtime_gateway.local.plan import Place, without_what_cannot_change
from realtime_gateway.local.present import Present
from realtime_gateway.resource import RealtimeGateway
from realtime_gateway.resource.reading import parse_content
from realtime_gateway.resource.secret_documents import secret_contents, without_secrets

LOOK_SECONDS = 0.5


def who_answers(resource: RealtimeGateway, place: Place) -> str:
    """Return what to say of a run in which everything is ready."""
    if resource.spec.replicas:
        return f"ready: {place.url}"
    return f"no gateway runs, since spec.replicas is 0: nobody answers at {place.url}"


class Follower:
    """Compares the file with what runs, again and again.

    Args:
        file: the resource.
        content: of the file when the run started.
        present: what runs.

    Attributes:
        text: the file as it is carried out now.
    """

    def __init__(self, file: Path, content: bytes, present: Present) -> None:
        self._file = file
        self._present = present
        self._group = present.group
        self._told_ignored: set[str] = set()
        self.text = content
        self._seen = content
        self._say_what_is_ignored(present.state.resource)

    async def follow(self) -> None:
        """Carry out every edit, one after the other, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            text = self._read()
            if text is None or text == self._seen:
                continue
            self._seen = text
            try:
                await self._carry_out(text)
            except GatewayError as error:
                self._group.say(f"the edit is not followed, and what runs stays as it was:\n{error}")

    def _read(self) -> bytes | None:
        # Editors replace a file or write it in two steps; what cannot be read now is read at the next look.
        try:
            return self._file.read_bytes()
        except OSError:
            return None

    async def _carry_out(self, text: bytes) -> None:
        wanted = parse_content(text, self._file)
        present = self._present.state.resource
        if wanted.name != present.name:
            raise GatewayError(
                f"{self._file}: metadata.name was {present.name} and is now {wanted.name}.",
                "That is another gateway: stop this one and start that one.",
            )
        spec, fixed = without_what_cannot_change(present.spec, wanted.spec)
        for sentence in fixed:
            self._group.say(sentence)
        self._say_what_is_ignored(wanted)
        wanted = replace(wanted, spec=spec)
        contents = secret_contents(wanted, text, self._file)
        place, directory, secrets = self._present.place, self._group.taken.directory, self._group.secrets
        before = secrets.contents
        async with self._present.lock:
            exchanged = secrets.write(contents)
            directory.write(place.resource_file, without_secrets(text, self._file))
            try:
                steps = await self._present.become(wanted)
            except GatewayError:
                directory.write(place.resource_file, without_secrets(self.text, self._file))
                secrets.write(before)
                secrets.keep(before)
                raise
            secrets.keep(contents)
        self.text = text
        if exchanged:
            self._group.say(
                "the secrets of the file are in use from now on: keys of messages within a second, others when needed"
            )
        if steps.start or steps.stop or steps.restart:
            self._group.say("the edit has been carried out")
        if bool(present.spec.replicas) != bool(wanted.spec.replicas):
            self._group.say(who_answers(wanted, place))

    def _say_what_is_ignored(self, resource: RealtimeGateway) -> None:
        """Name the fields that only a cluster uses; each of them once in a run."""
        new = [path for path in resource.ignored_locally if path not in self._told_ignored]
        self._told_ignored.update(new)
        if new:
            self._group.say(f"ignored here, since only Kubernetes uses it: {', '.join(new)}")
