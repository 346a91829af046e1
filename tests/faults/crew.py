"""The workers of a test, as one: they send to and receive from each other, and are counted together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from tests.faults.groups import is_queue
from tests.faults.tally import Received, Sent, Tally, count
from tests.faults.worker_process import WorkerProcess
from tests.support.conditions import wait_until


class Crew:
    """Workers that know the same groups; a context manager.

    Each worker of ``both`` sends and receives, ``senders`` only send, ``receivers`` only receive. Everybody who sends
    sends to every group, to one channel of each other process that receives, and to every queue. Everybody who receives
    takes from the queues.

    Args:
        groups: which everybody who receives is in.
        queues: normal channels.
        queues_in_groups: whether two of the queues are members of a group as well.
        per_second: how many messages everybody sends to each destination; to a queue, from which its messages are taken
            one by one, a quarter of it.
        members: how many channels everybody who receives has in each group.
        options: of the layers.
    """

    def __init__(
        self,
        groups: Sequence[str],
        *,
        queues: Sequence[str] = (),
        queues_in_groups: bool = True,
        per_second: float = 20,
        members: int = 1,
        **options: Any,
    ) -> None:
        self.groups = list(groups)
        self.queues = list(queues)
        # Queue → its group, of another shard where the groups are in the order of theirs, as the queues are.
        groups_apart = groups[:: len(groups) // max(len(queues), 1)]
        self.group_of = dict(zip(queues[:2], reversed(groups_apart), strict=False)) if queues_in_groups else {}
        self.per_second = per_second
        self.members = members
        self.options = options
        self.workers: list[WorkerProcess] = []
        self._twice_so_far: list[int] = []

    def add(
        self, name: str, hosts: Sequence[Any] | None, environment: Mapping[str, str] | None = None, **options: Any
    ) -> WorkerProcess:
        """Start one more process."""
        worker = WorkerProcess(name, hosts, {**self.options, **options}, environment or {})
        self.workers.append(worker)
        return worker

    def add_usual(self, hosts: Sequence[Any] | None, environment: Mapping[str, str] | None = None) -> None:
        """One process that only sends, one that only receives, and one that does both."""
        for name in ("sender", "receiver", "both"):
            self.add(name, hosts, environment)

    def begin(self) -> None:
        """Join everybody, then begin to send."""
        receiving = [worker for worker in self.workers if not worker.name.startswith("sender")]
        for worker in receiving:
            worker.groups = self.groups
            worker.tell("join", groups=self.groups, members=self.members)
        for worker in receiving:
            worker.channels = worker.answer()
            worker.ask("take", queues=self.queues)
        for queue, group in self.group_of.items():
            receiving[0].ask("add", group=group, channel=queue)
        sending = [worker for worker in self.workers if not worker.name.startswith("receiver")]
        for worker in sending:
            direct = [other.channels[0] for other in receiving]
            worker.ask("send", destinations=[*self.groups, *direct], per_second=self.per_second)
            worker.ask("send", destinations=self.queues, per_second=self.per_second / 4)
        self.wait_until_everyone_hears_everyone(30)

    def wait_until_everyone_hears_everyone(self, seconds: float) -> None:
        """Prove that whatever every sender sends from now on to every destination is acknowledged and arrives.

        Processes that are paused do not take part.
        """
        since = {worker.name: self._progress(worker)["issued"] for worker in self._awake()}
        waiting: list[str] = []

        def heard() -> bool:
            waiting[:] = self._not_heard_since(since)
            return not waiting

        try:
            wait_until(heard, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {', '.join(waiting)}\n{self.logs()}") from None

    def wait_for_error(self, worker: WorkerProcess, kind: str, seconds: float) -> None:
        """Wait until a sender in this process has got an error of this kind."""
        wait_until(lambda: kind in self._progress(worker)["errors"], seconds)

    def stays_well(self, rounds: int = 3) -> None:
        """Prove that no connection is lost and no sender fails while everybody is heard again and again."""
        before = self._troubles()
        for _ in range(rounds):
            self.wait_until_everyone_hears_everyone(30)
        assert self._troubles() == before, f"not well: {before} became {self._troubles()}\n{self.logs()}"

    def gone(self) -> dict[str, int]:
        """How often each process was told that a shard is out of reach."""
        return {worker.name: self._progress(worker)["gone"] for worker in self.workers}

    def note_what_was_taken_twice(self) -> None:
        """Say that a failover is over: what is taken again from now on is due to the next one, if there is one."""
        self._twice_so_far.append(self._taken_twice())

    def twice_per_failover(self) -> list[int]:
        """How many messages of queues were taken again after each failover that was noted, the last one to the end."""
        before = [0, *self._twice_so_far[:-1]]
        after = [*self._twice_so_far[:-1], self._taken_twice()]
        return [until - since for since, until in zip(before, after, strict=True)]

    def finish(self, seconds: float = 40) -> tuple[Tally, dict[str, list[tuple[str, float]]]]:
        """Stop sending, wait until everything has arrived or nothing comes any more; count.

        Returns:
            The tally, and the errors that senders got, with the seconds that each took.
        """
        for worker in self.workers:
            worker.tell("finish")
        for worker in self.workers:
            worker.answer()
        deadline = time.monotonic() + seconds
        sent, received = self._reports()
        while count(sent, received).lost and time.monotonic() < deadline:
            time.sleep(0.2)
            sent, received = self._reports()
        errors: dict[str, list[tuple[str, float]]] = {}
        for stream in sent:
            errors.setdefault(stream.sender, []).extend(stream.failed.values())
        return count(sent, received), {name: found for name, found in errors.items() if found}

    def missing(self) -> list[str]:
        """What is missing where, for the message of a test that failed."""
        sent, received = self._reports()
        found = []
        for member in received:
            for stream in (one for one in sent if one.destination in member.destinations):
                numbers = member.arrivals.get(stream.destination, {}).get(stream.sender, [])
                gone = sorted(set(range(stream.issued)) - set(stream.failed) - set(numbers))
                twice = sorted({n for n in numbers if numbers.count(n) > 1}) if len(numbers) > len(set(numbers)) else []
                if gone or twice:
                    where = f"{stream.sender} → {stream.destination} at {member.channel[-8:]}"
                    found.append(f"{where}: {len(gone)} missing {gone[:5]}…{gone[-2:]}, twice {twice[:5]}")
        return found

    def logs(self) -> str:
        """The end of what each worker logged."""
        return "\n".join(f"--- {worker.name}\n{worker.log()[-3000:]}" for worker in self.workers)

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.stop()

    def _awake(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if not worker.paused]

    @staticmethod
    def _progress(worker: WorkerProcess) -> dict[str, Any]:
        found: dict[str, Any] = worker.ask("progress")
        return found

    def _not_heard_since(self, since: Mapping[str, Mapping[str, int]]) -> list[str]:
        now = {worker.name: self._progress(worker) for worker in self._awake()}
        waiting = []
        for sender, destinations in since.items():
            for destination, number in destinations.items():
                if now[sender]["acknowledged"][destination] < number:
                    waiting.append(f"{sender} cannot send to {destination}")
                for name, channel in self._members_of(destination):
                    if now[name]["latest"][channel].get(destination, {}).get(sender, -1) < number:
                        waiting.append(f"{name} does not hear {sender} in {destination}")
                waiting += [
                    f"nobody takes what {sender} sends to {destination} from {queue}"
                    for queue in self.queues
                    if destination in (queue, self.group_of.get(queue))
                    and _newest_taken(now.values(), queue, destination, sender) < number
                ]
        return waiting

    def _taken_twice(self) -> int:
        taken: Counter[tuple[str, str, str, int]] = Counter()
        for worker in self.workers if self.queues else ():
            for queue, arrivals in worker.ask("taken").items():
                for destination, by_sender in arrivals.items():
                    for sender, numbers in by_sender.items():
                        taken.update((queue, destination, sender, number) for number in numbers)
        return taken.total() - len(taken)

    def _members_of(self, destination: str) -> list[tuple[str, str]]:
        return [
            (worker.name, channel)
            for worker in self._awake()
            for channel in worker.channels
            if destination == channel or destination in worker.groups
        ]

    def _troubles(self) -> dict[str, tuple[int, dict[str, int]]]:
        found = {worker.name: self._progress(worker) for worker in self.workers}
        return {name: (progress["gone"], progress["errors"]) for name, progress in found.items()}

    def _reports(self) -> tuple[list[Sent], list[Received]]:
        sent, received = [], []
        taken: dict[str, list[dict[str, Any]]] = {queue: [] for queue in self.queues}
        for worker in self.workers:
            report = worker.ask("report")
            for stream in report["streams"]:
                failed = {number: (kind, seconds) for number, (kind, seconds) in stream["failed"]}
                sent.append(Sent(worker.name, stream["to"], stream["issued"], failed))
            for member in report["members"]:
                if is_queue(member["channel"]):
                    taken[member["channel"]].append(member)
                    continue
                # A process is told of groups; of its inbox it is told without a name.
                told = {name for groups in member["told"] for name in groups}
                received.append(
                    Received(
                        channel=member["channel"],
                        destinations=frozenset([*worker.groups, member["channel"]]),
                        arrivals=member["arrivals"],
                        raised=member["raised"],
                        told=frozenset(told),
                        alarms=len(member["told"]),
                        silence=member["silence"],
                    )
                )
        return sent, received + [self._together(queue, members) for queue, members in taken.items()]

    def _together(self, queue: str, members: Sequence[Mapping[str, Any]]) -> Received:
        """Everything that was taken from a queue, by whomever."""
        arrivals: dict[str, dict[str, list[int]]] = {}
        for member in members:
            for destination, by_sender in member["arrivals"].items():
                for sender, numbers in by_sender.items():
                    arrivals.setdefault(destination, {}).setdefault(sender, []).extend(numbers)
        return Received(
            channel=queue,
            destinations=frozenset((queue, self.group_of.get(queue, queue))),
            arrivals=arrivals,
            raised=[one for member in members for one in member["raised"]],
            shared=True,
        )


def _newest_taken(processes: Iterable[Mapping[str, Any]], queue: str, destination: str, sender: str) -> int:
    latest = (progress["latest"].get(queue, {}) for progress in processes)
    return max((one.get(destination, {}).get(sender, -1) for one in latest), default=-1)
