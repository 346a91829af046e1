import pytest
from tests.support.free_port import free_port

from realtime_gateway.local.plan import GatewayAnswers, RedisAnswers, SentinelAgrees, WorkerReports
from realtime_gateway.local.readiness import SILENT_WORKER_SECONDS, lacking, redis_complaint
from realtime_gateway.local.redis_questions import Role

PRIMARY = RedisAnswers(1, "shard")
REPLICA = RedisAnswers(2, "shard", primary_port=1)
ALONE = RedisAnswers(3)


@pytest.mark.parametrize("server", [PRIMARY, REPLICA, ALONE])
def test_a_server_that_does_not_answer_is_not_ready(server: RedisAnswers):
    assert redis_complaint(server, None) == "does not answer"


@pytest.mark.parametrize("server", [PRIMARY, REPLICA, ALONE])
def test_a_primary_that_answers_is_ready(server: RedisAnswers):
    assert redis_complaint(server, Role(is_primary=True)) is None


@pytest.mark.parametrize("server", [PRIMARY, REPLICA])
def test_a_replica_is_ready_when_it_has_its_data(server: RedisAnswers):
    assert redis_complaint(server, Role(is_primary=False, primary_port=1, linked=True)) is None
    assert redis_complaint(server, Role(is_primary=False, primary_port=1)) == "has not got its data from the primary"


async def test_a_worker_that_reports_nothing_is_taken_as_ready_after_a_while():
    asked = WorkerReports("chat-worker-0", "asgi")
    assert await lacking(asked, 1, SILENT_WORKER_SECONDS - 1, ()) == "has not reported to a shard"
    assert await lacking(asked, 1, SILENT_WORKER_SECONDS + 1, ()) is None


async def test_what_nobody_answers_for_is_not_ready():
    port = free_port()
    assert await lacking(GatewayAnswers(port), 1, 0, ()) == "does not answer /readyz"
    assert await lacking(SentinelAgrees(port, ("shard",), 1), 1, 0, ()) == "does not answer"
    assert await lacking(ALONE, 1, 0, ()) == "does not answer"
