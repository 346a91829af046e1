"""Two gateways under load over two shards, an operator's numbers, and a Prometheus that scrapes all three."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.load import Load
from tests.support.conditions import wait_until
from tests.support.free_port import free_port
from tests.support.prometheus_process import PrometheusProcess, fixed, hurried
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "charts" / "realtime-gateway" / "files" / "monitoring"
SITE = Path(__file__).parent / "site"
PLENTY_SECONDS = 60


@dataclass(frozen=True)
class Scene:
    """What runs, beside the shards."""

    prometheus: PrometheusProcess
    load: Load


@dataclass(frozen=True)
class PlainScene(Scene):
    """The same over two servers without replicas."""

    shards: tuple[RedisProcess, ...]


@pytest.fixture(scope="module")
def scene() -> Iterator[PlainScene]:
    require_prometheus()
    with ExitStack() as stack:
        shards = tuple(stack.enter_context(RedisProcess()) for _ in range(2))
        made = stack.enter_context(running([shard.url for shard in shards]))
        yield PlainScene(made.prometheus, made.load, shards)


def require_prometheus() -> None:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is missing; tests/install_debian_packages.sh installs it")


@contextmanager
def running(hosts: list[Any]) -> Iterator[Scene]:
    """Run two gateways over shards, with load on them and a Prometheus that has scraped everything."""
    with ExitStack() as stack:
        gateways = [stack.enter_context(gateway(hosts)) for _ in range(2)]
        port = free_port()
        operator = stack.enter_context(subprocess.Popen([sys.executable, str(SITE / "operator_numbers.py"), str(port)]))
        stack.callback(operator.terminate)
        load = stack.enter_context(Load(*(one.websocket_url for one in gateways)))
        scrapes = [
            fixed("chat", "town", [f"127.0.0.1:{one.admin_port}" for one in gateways]),
            fixed("operator", "gateway-system", [f"127.0.0.1:{port}"]),
        ]
        rules = hurried((MONITORING / "rules.yaml").read_text())
        prometheus = stack.enter_context(PrometheusProcess(scrapes, rules))
        wait_until(lambda: len(prometheus.query("up == 1")) == 3, PLENTY_SECONDS)
        yield Scene(prometheus, load)
        assert load.failure is None, load.failure


def gateway(hosts: list[Any]) -> ServeProcess:
    return ServeProcess(
        "measured:application",
        "--websocket-max-message-size=65536",
        "--drain-accept-seconds=0",
        "--drain-seconds=1",
        directory=SITE,
        environment={"SHARDS": json.dumps(hosts)},
    )
