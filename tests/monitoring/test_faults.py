"""Real faults, seen by a real Prometheus: what is for them fires, and ends when they do."""

from __future__ import annotations

import time

from tests.faults.sentinel_shards import SentinelShards
from tests.monitoring.conftest import PLENTY_SECONDS, PlainScene, require_prometheus, running
from tests.support.conditions import wait_until

AWAY = "RealtimeGatewayShardDown"
FAILED_OVER = "RealtimeGatewayFailover"


def test_a_shard_that_is_killed_and_comes_back(scene: PlainScene) -> None:
    prometheus, shard = scene.prometheus, scene.shards[0]
    wait_until(lambda: len(prometheus.query("realtime_gateway_layer_shard_up == 1")) == 4, PLENTY_SECONDS, 0.2)
    assert not {AWAY, FAILED_OVER} & prometheus.firing()
    shard.kill()
    wait_until(lambda: AWAY in prometheus.firing(), PLENTY_SECONDS, 0.2)
    [down] = prometheus.query("max by (shard) (realtime_gateway_layer_shard_up) == 0")
    [alert] = [one for one in prometheus.ask("alerts")["alerts"] if one["labels"]["alertname"] == AWAY]
    assert alert["labels"]["shard"] == down["metric"]["shard"]
    assert FAILED_OVER not in prometheus.firing()
    shard.restart()
    wait_until(lambda: FAILED_OVER in prometheus.firing(), PLENTY_SECONDS, 0.2)
    wait_until(lambda: AWAY not in prometheus.firing(), PLENTY_SECONDS, 0.2)
    wait_until(lambda: FAILED_OVER not in prometheus.firing(), PLENTY_SECONDS, 0.2)


def test_a_shard_that_hangs_is_away_as_well(scene: PlainScene) -> None:
    prometheus, shard = scene.prometheus, scene.shards[1]
    shard.pause()
    try:
        wait_until(lambda: AWAY in prometheus.firing(), PLENTY_SECONDS, 0.2)
    finally:
        shard.resume()
    wait_until(lambda: AWAY not in prometheus.firing(), PLENTY_SECONDS, 0.2)


def test_a_primary_that_is_killed_fails_over_and_nothing_is_lost() -> None:
    require_prometheus()
    with SentinelShards("one") as shards, running(shards.hosts()) as scene:
        prometheus = scene.prometheus
        wait_until(lambda: len(prometheus.query("realtime_gateway_layer_shard_up == 1")) == 2, PLENTY_SECONDS, 0.2)
        assert FAILED_OVER not in prometheus.firing()
        killed_at = time.monotonic()
        shards["one"].kill_primary()
        shards.wait_for_failover("one", killed_at)
        wait_until(lambda: FAILED_OVER in prometheus.firing(), PLENTY_SECONDS, 0.2)
        wait_until(lambda: AWAY not in prometheus.firing(), PLENTY_SECONDS, 0.2)
        wait_until(lambda: prometheus.query("realtime_gateway_layer_resent_total > 0"), PLENTY_SECONDS, 0.2)
        assert "RealtimeGatewayMessagesLost" not in prometheus.firing()
