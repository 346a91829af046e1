from dataclasses import replace
from pathlib import Path

import pytest

from realtime_gateway.hosts import HostList
from realtime_gateway.local.plan import (
    STOP_ORDER,
    GatewayAnswers,
    Kind,
    Place,
    Plan,
    ProcessPlan,
    RedisAnswers,
    SentinelAgrees,
    Stage,
    WorkerReports,
    changes,
    without_what_cannot_change,
)
from realtime_gateway.local.redis_plan import make_plan, names_with_a_port, wanted_shards
from realtime_gateway.resource.spec import (
    Cache,
    Drain,
    ExternalHost,
    ExternalRedis,
    GatewaySpec,
    ManagedRedis,
    RealtimeGateway,
    Redis,
    WebSocket,
    Worker,
)

PLACE = Place(
    directory=Path("/run/chat"),
    project=Path("/srv/chat"),
    host="127.0.0.1",
    port=8000,
    python="python3",
    redis_server="/usr/bin/redis-server",
    identity="one",
)


def managed(**fields: int) -> Redis:
    return Redis(managed=ManagedRedis(**fields))


def chat(**fields: object) -> RealtimeGateway:
    spec = GatewaySpec(**{"application": "chat.asgi:application", "redis": managed(), **fields})
    return RealtimeGateway(name="chat", namespace="default", spec=spec)


def planned(resource: RealtimeGateway, place: Place = PLACE, leaving: tuple[str, ...] = ()) -> Plan:
    ports = {name: 20_000 + number for number, name in enumerate(names_with_a_port(resource, leaving))}
    hosts = HostList(1, wanted_shards(resource, ports))
    return make_plan(resource, place, ports, hosts, leaving)


def by_name(plan: Plan) -> dict[str, ProcessPlan]:
    return {process.name: process for process in plan.processes}


def option(process: ProcessPlan, name: str) -> str:
    return process.argv[process.argv.index(f"--{name}") + 1]


def environment(process: ProcessPlan) -> dict[str, str]:
    return dict(process.environment)


def test_the_example_becomes_servers_sentinels_a_cache_workers_and_gateways():
    plan = planned(
        chat(
            replicas=2,
            redis=managed(shards=2, replicas=1, sentinels=3),
            workers=(Worker(name="mail", channels=("mail", "sms"), replicas=2),),
            cache=Cache(enabled=True),
        )
    )
    assert [process.name for process in plan.processes] == [
        *("chat-redis-0-0", "chat-redis-0-1", "chat-redis-1-0", "chat-redis-1-1", "chat-cache"),
        *("chat-sentinel-0", "chat-sentinel-1", "chat-sentinel-2"),
        *("chat-worker-mail-0", "chat-worker-mail-1", "chat-gateway-0", "chat-gateway-1"),
    ]


def test_every_kind_has_its_place_in_the_order_of_stopping():
    assert [kind for kinds in STOP_ORDER for kind in sorted(kinds, key=lambda kind: kind.value)] == [
        *(Kind.GATEWAY, Kind.WORKER, Kind.SENTINEL, Kind.CACHE, Kind.REDIS)
    ]


def test_the_host_list_names_each_shard_by_its_sentinels():
    plan = planned(chat(redis=managed(shards=2, replicas=1)))
    assert plan.hosts.epoch == 1
    sentinels = [["127.0.0.1", port] for port in plan.sentinel_ports]
    assert len(sentinels) == 3
    assert [(shard.name, shard.connection) for shard in plan.hosts.shards] == [
        ("chat-redis-0", {"sentinels": sentinels, "master_name": "chat-redis-0"}),
        ("chat-redis-1", {"sentinels": sentinels, "master_name": "chat-redis-1"}),
    ]


def test_a_shard_without_replicas_has_no_sentinels_and_is_named_by_its_address():
    plan = planned(chat(redis=managed(shards=1, replicas=0)))
    assert Kind.SENTINEL not in {process.kind for process in plan.processes}
    [shard] = plan.hosts.shards
    assert shard.connection == {"host": "127.0.0.1", "port": 20_000}
    assert by_name(plan)["chat-redis-0-0"].readiness == RedisAnswers(20_000)


def test_external_shards_are_named_as_the_resource_has_them_and_no_redis_is_run():
    hosts = (ExternalHost(name="a", url="redis://:secret@a:1/0", weight=2), ExternalHost(name="b", host="b"))
    plan = planned(chat(redis=Redis(external=ExternalRedis(hosts)), replicas=1))
    assert {process.kind for process in plan.processes} == {Kind.GATEWAY}
    assert [(shard.name, shard.weight) for shard in plan.hosts.shards] == [("a", 2), ("b", 1)]
    assert plan.shard_urls == ("redis://:secret@a:1/0", "redis://b:6379/0")
    assert "secret" not in repr(plan)


def test_the_first_server_of_a_shard_starts_as_its_primary_and_the_others_when_it_is_ready():
    processes = by_name(planned(chat(redis=managed(replicas=2))))
    primary, *replicas = (processes[f"chat-redis-0-{number}"] for number in range(3))
    assert primary.stage is Stage.DATA
    assert isinstance(primary.readiness, RedisAnswers)
    assert primary.readiness.primary_port is None
    for replica in replicas:
        assert replica.stage is Stage.REPLICAS
        assert isinstance(replica.readiness, RedisAnswers)
        assert replica.readiness.primary_port == primary.readiness.port


@pytest.mark.parametrize(("replicas", "needed"), [(0, "0"), (1, "0"), (2, "1"), (5, "1")])
def test_a_primary_insists_on_a_replica_only_where_one_may_be_missing(replicas: int, needed: str):
    process = by_name(planned(chat(redis=managed(replicas=replicas))))["chat-redis-0-0"]
    assert option(process, "min-replicas-to-write") == needed


def test_redis_listens_on_loopback_writes_nothing_to_disk_and_keeps_to_its_memory():
    process = by_name(planned(chat(redis=managed(max_memory_bytes=64 * 1024**2))))["chat-redis-0-0"]
    expected = {"bind": "127.0.0.1", "save": "", "appendonly": "no", "maxmemory": str(64 * 1024**2)}
    assert {name: option(process, name) for name in expected} == expected
    assert process.working_directory == PLACE.directory / process.name


def test_sentinels_know_everyone_from_the_start_and_agree_by_majority():
    plan = planned(chat(redis=managed(shards=1, replicas=1, sentinels=3)))
    sentinels = [process for process in plan.processes if process.kind is Kind.SENTINEL]
    configurations = [dict(process.files)[process.working_directory / "sentinel.conf"] for process in sentinels]
    ids = [line.split()[-1] for text in configurations for line in text.splitlines() if " myid " in line]
    assert len(set(ids)) == 3
    for number, text in enumerate(configurations):
        assert "sentinel monitor chat-redis-0 127.0.0.1 20000 2\n" in text
        assert "sentinel known-replica chat-redis-0 127.0.0.1 20001\n" in text
        known = {line.split()[-1] for line in text.splitlines() if "known-sentinel" in line}
        assert known == set(ids) - {ids[number]}
    assert sentinels[0].readiness == SentinelAgrees(20_002, ("chat-redis-0",), 1)


def test_a_sentinels_directory_may_have_any_name():
    place = replace(PLACE, directory=Path('/run/my "best" \\ chat'))
    files = [text for process in planned(chat(), place).processes for _, text in process.files]
    assert files
    for text in files:
        assert 'dir "/run/my \\"best\\" \\\\ chat/chat-sentinel-' in text


def test_sentinels_of_another_run_are_strangers():
    one, other = (
        {file for process in planned(chat(), place).processes for file in process.files}
        for place in (PLACE, replace(PLACE, identity="two"))
    )
    assert not one & other


def test_gateways_share_the_public_port_and_are_ready_by_their_admin_ports():
    plan = planned(chat(replicas=2))
    gateways = [process for process in plan.processes if process.kind is Kind.GATEWAY]
    admin_ports = {option(process, "admin-port") for process in gateways}
    assert len(admin_ports) == 2
    for process in gateways:
        assert option(process, "port") == "8000"
        assert "--reuse-port" in process.argv
        assert process.argv[-1] == "chat.asgi:application"
        assert process.working_directory == PLACE.project
        assert process.readiness == GatewayAnswers(int(option(process, "admin-port")))


def test_gateways_inherit_one_socket_where_a_port_cannot_be_shared():
    process = by_name(planned(chat(), replace(PLACE, listening_fd=7)))["chat-gateway-0"]
    assert option(process, "fd") == "7"
    assert "--reuse-port" not in process.argv
    assert "--port" not in process.argv


def test_gateways_and_workers_are_told_where_everything_is():
    resource = chat(
        settings_module="chat.settings",
        workers=(Worker(name="mail", channels=("mail",)),),
        cache=Cache(enabled=True),
    )
    processes = by_name(planned(resource))
    port = processes["chat-cache"].readiness
    assert isinstance(port, RedisAnswers)
    for name in ("chat-gateway-0", "chat-worker-mail-0"):
        assert (
            environment(processes[name]).items()
            >= {
                "REALTIME_GATEWAY_CONFIG": str(PLACE.hosts_file),
                "REALTIME_GATEWAY_RESOURCE": str(PLACE.resource_file),
                "REALTIME_GATEWAY_PROCESS": name,
                "DJANGO_SETTINGS_MODULE": "chat.settings",
                "CACHE_URL": f"redis://127.0.0.1:{port.port}/0",
            }.items()
        )
    worker = processes["chat-worker-mail-0"]
    assert worker.argv == ("python3", "-m", "django", "runworker", "mail")
    admin_port = int(environment(worker)["REALTIME_GATEWAY_ADMIN_PORT"])
    assert worker.readiness == WorkerReports("chat-worker-mail-0", "asgi", admin_port)


def test_without_a_cache_and_settings_nothing_is_said_of_them():
    assert not environment(by_name(planned(chat()))["chat-gateway-0"]).keys() & {"CACHE_URL", "DJANGO_SETTINGS_MODULE"}


def test_a_gateway_has_its_drain_and_a_margin_to_end():
    assert by_name(planned(chat(drain=Drain(period_seconds=40))))["chat-gateway-0"].stop_seconds == 69


def names(processes: tuple[ProcessPlan, ...]) -> list[str]:
    return [process.name for process in processes]


def test_more_and_fewer_replicas_touch_nothing_else():
    two, three = planned(chat(replicas=2)), planned(chat(replicas=3))
    more, fewer = changes(two, three), changes(three, two)
    assert (names(more.start), more.stop, more.restart) == (["chat-gateway-2"], (), ())
    assert (fewer.start, names(fewer.stop), fewer.restart) == ((), ["chat-gateway-2"], ())
    assert more.keep == fewer.keep == two.processes


def test_a_changed_limit_restarts_gateways_and_workers_and_no_redis():
    workers = (Worker(name="mail", channels=("mail",)),)
    before = planned(chat(replicas=1, workers=workers))
    after = planned(chat(replicas=1, workers=workers, websocket=WebSocket(max_connections=7)))
    steps = changes(before, after)
    assert names(steps.restart) == ["chat-worker-mail-0", "chat-gateway-0"]
    assert (steps.start, steps.stop) == ((), ())


def test_other_channels_of_a_worker_restart_that_worker_only():
    before = planned(chat(workers=(Worker(name="a", channels=("x",)), Worker(name="b", channels=("y",)))))
    after = planned(chat(workers=(Worker(name="a", channels=("x", "z")), Worker(name="b", channels=("y",)))))
    assert names(changes(before, after).restart) == ["chat-worker-a-0"]


def test_another_shard_starts_its_own_servers_alone_and_an_unwanted_one_ends_them_alone():
    # The shard that is to go has its ports already, so that nothing but the number of shards differs.
    two = replace(with_it := planned(chat(redis=managed(shards=2)), leaving=("chat-redis-2",)), processes=tuple(
        process for process in with_it.processes if not process.name.startswith("chat-redis-2-")
    ))  # fmt: skip
    three = planned(chat(redis=managed(shards=3)))
    servers = ["chat-redis-2-0", "chat-redis-2-1", "chat-redis-2-2"]
    more, fewer = changes(two, three), changes(three, two)
    assert (names(more.start), more.stop, more.restart) == (servers, (), ())
    assert (fewer.start, names(fewer.stop), fewer.restart) == ((), servers, ())


def test_a_shard_that_may_still_be_in_use_runs_on_beside_those_that_are_asked_for():
    plan = planned(chat(redis=managed(shards=1, replicas=0)), leaving=("chat-redis-1",))
    assert [p.name for p in plan.processes if p.kind is Kind.REDIS] == ["chat-redis-0-0", "chat-redis-1-0"]
    assert [shard.name for shard in plan.hosts.shards] == ["chat-redis-0"]


def test_the_number_of_shards_is_followed_and_of_the_rest_of_redis_and_the_cache_it_is_said_that_it_stays():
    present = chat(redis=managed(shards=1, replicas=1)).spec
    wanted = chat(redis=managed(shards=2, replicas=0), cache=Cache(enabled=True), replicas=5).spec
    possible, sentences = without_what_cannot_change(present, wanted)
    assert possible == replace(present, replicas=5, redis=managed(shards=2, replicas=1))
    assert [sentence.split(" can")[0] for sentence in sentences] == [
        "Of spec.redis only managed.shards and external.hosts",
        "spec.cache",
    ]
    assert without_what_cannot_change(present, replace(present, redis=managed(shards=9, replicas=1)))[1] == ()


def test_external_shards_are_followed_but_not_a_change_between_managed_and_external():
    one, two = (
        Redis(external=ExternalRedis(tuple(ExternalHost(name=name, url="redis://h") for name in names)))
        for names in ("a", "ab")
    )
    present = chat(redis=one).spec
    assert without_what_cannot_change(present, replace(present, redis=two)) == (replace(present, redis=two), ())
    possible, sentences = without_what_cannot_change(present, replace(present, redis=managed()))
    assert (possible, len(sentences)) == (present, 1)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/"),
        ("0.0.0.0", "http://127.0.0.1:8000/"),
        ("::", "http://[::1]:8000/"),
        ("::1", "http://[::1]:8000/"),
        ("box.local", "http://box.local:8000/"),
    ],
)
def test_the_address_that_is_printed_can_be_opened(host: str, url: str):
    assert replace(PLACE, host=host).url == url
