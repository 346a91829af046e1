"""The benchmark itself: it counts right, and it runs. No figure is asserted."""

import asyncio

import pytest

from tests.benchmarks.__main__ import main
from tests.benchmarks.cores import Cores
from tests.benchmarks.generator import compiler
from tests.benchmarks.metrics_cost import measure
from tests.benchmarks.room import Load, Room
from tests.benchmarks.server_targets import ServerTargets
from tests.benchmarks.tables import Sample, faults, table
from tests.benchmarks.targets import Targets
from tests.benchmarks.tracing_targets import TracingTargets


def sample(cpu: float, lost: int = 0, twice: int = 0) -> Sample:
    return Sample(cpu, 1.0, 0.25, 1000.0, lost, twice)


def test_the_table_shows_medians_and_how_many_times_less_ours_takes():
    text = table(
        "A load", {"stock": [sample(200), sample(220), sample(900)], "RealtimeGateway": [sample(55)]}, "RealtimeGateway"
    )
    [stock] = [line for line in text.splitlines() if line.startswith("stock")]
    assert stock.split() == ["stock", "220.0", "(200.0-900.0)", "4.00x", "less", "1.0", "1,000", "25%", "0", "0"]


def test_a_lost_delivery_and_one_that_came_twice_are_faults():
    assert faults({"good": [sample(1)], "bad": [sample(1, lost=2), sample(1, twice=1)]}) == ["bad: 2 lost, 1 twice"]


@pytest.fixture
def room():
    return Room(Load(port=0, watched=(0, 0), clients=2, outstanding=1, warm_up=0, messages=2))


def test_a_second_delivery_of_a_message_to_one_client_is_counted_as_twice(room):
    for index in (0, 0):
        room.delivered(index, b'{"message": "00000001 x"}')
    assert (room.arrived[1], room.twice, room.complete) == (1, 1, 0)


def test_a_message_is_complete_when_every_client_has_it(room):
    room.next = room.stop_at = 2
    for index in (0, 1):
        room.delivered(index, b'{"message": "00000000 x"}')
    assert (room.arrived, room.complete) == ([2, 0], 1)


@pytest.mark.parametrize("name", ["RealtimeGateway", "Daphne, channels_redis pubsub"])
def test_a_small_run_delivers_everything_once(name, capsys):
    assert main(["--runs", "1", "--clients", "10", "--messages", "5", "--only", name]) == 0
    assert f"\n{name} " in capsys.readouterr().out


@pytest.mark.timeout(300)
def test_targets_of_the_layer_are_measured_beside_what_is_asked():
    targets = Targets(Cores(None, None, None), runs=1, scale=0.02)
    found = {target.what: target for measure in (targets.moved, targets.group, targets.burst) for target in measure()}
    assert len(found) == 4
    assert found["keys that move from 2 shards to 3"].measured.startswith("33.")
    [burst] = [target for what, target in found.items() if what.startswith("1,000 messages")]
    assert burst.measured.startswith("0 dropped")


def test_a_sessions_websocket_takes_a_query_for_its_session_and_one_for_its_user_and_none_for_its_messages():
    targets = Targets(Cores(None, None, None), runs=1, scale=0.02)
    [check, queries, cpu] = targets.authentication()
    assert check.measured.endswith(" us")
    assert queries.measured.startswith("2.0 ")
    assert "Channels' stack" in cpu.measured


def test_limits_are_measured_on_messages_that_they_let_pass():
    [check] = Targets(Cores(None, None, None), runs=1, scale=0.02).limits()
    assert float(check.measured.removesuffix(" us")) > 0


def test_what_counting_costs_is_measured_with_all_members_served() -> None:
    cost = asyncio.run(measure(3, turns=2, messages=5))
    assert cost.members == 3
    assert cost.counted_us > 0
    assert cost.uncounted_us > 0


@pytest.mark.skipif(compiler() is None, reason="there is no C compiler here")
def test_the_servers_targets_are_measured_by_clients_that_lose_nothing():
    targets = ServerTargets(Cores(None, None, None), runs=1, scale=0.02)
    [rooms] = targets.rooms()
    assert "unmodified consumer" in rooms.measured
    assert "LOST" not in rooms.measured
    [handshake, memory], [churn] = targets.handshakes(), targets.churn()
    assert "less" in handshake.measured
    assert "KB" in memory.measured
    assert churn.measured.endswith(" KB")


@pytest.mark.skipif(compiler() is None, reason="there is no C compiler here")
def test_what_traces_cost_is_measured_beside_a_server_without_any() -> None:
    targets = TracingTargets(Cores(None, None, None), runs=1, scale=0.02)
    rooms, [not_chosen] = list(targets.rooms()), targets.not_chosen()
    assert ["@fanout" in room.what for room in rooms] == [False, True]
    for line in (*rooms, not_chosen):
        assert "LOST" not in line.measured
    assert all("x at 100%; " in room.measured for room in rooms)
    assert " us on an echo of " in not_chosen.measured
