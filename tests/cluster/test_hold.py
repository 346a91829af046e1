"""A cluster ends with whoever holds it, however they end, and leaves nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import ROOT, OwnCluster
from tests.cluster.node import cgroups
from tests.cluster.node.machine import RUNNING, remove_if_dead
from tests.cluster.waiting import wait_until


class Holder:
    """A second cluster that is just starting, held by a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.cluster.node.hold", "1"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)
        self.state = RUNNING / f"rtg-{self.process.pid}"
        self.groups = [parent / self.state.name for parent in cgroups.parents()]

    def first_process(self, part: str) -> Path:
        """Wait until a part of the cluster runs, and return where the system lists its first process."""
        pid = self.state / part / "pid"
        wait_until(lambda: pid.exists() and pid.read_text(), 30)
        return Path("/proc", pid.read_text())


@pytest.fixture
def holder(own_cluster: OwnCluster) -> Iterator[Holder]:
    """The second cluster; the first one shows that this machine can run them."""
    started = Holder()
    yield started
    started.process.kill()
    started.process.communicate()


def test_it_ends_when_the_pipe_to_it_is_closed_even_while_it_starts(holder: Holder) -> None:
    node = holder.first_process("node-1")
    holder.process.communicate(timeout=60)  # closes standard input
    assert holder.process.returncode == 0
    assert not node.exists()
    assert not holder.state.exists()
    assert not any(group.exists() for group in holder.groups)


def test_when_its_holder_is_killed_it_ends_and_the_next_start_removes_its_files(holder: Holder) -> None:
    node = holder.first_process("node-1")
    holder.process.kill()
    wait_until(lambda: not node.exists(), 30)
    remove_if_dead(holder.state)
    assert not holder.state.exists()
    assert not any(group.exists() for group in holder.groups)


def test_files_of_a_cluster_that_runs_are_left_alone(own_cluster: OwnCluster) -> None:
    remove_if_dead(own_cluster.state)
    assert own_cluster.kubeconfig.exists()
