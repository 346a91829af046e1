"""One run of one contender: fresh Redis, fresh server, one load, one sample."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any

from tests.benchmarks.contenders import ROOT, Contender, ServerProcess
from tests.benchmarks.cores import Cores, pin
from tests.benchmarks.layer_alone import LayerLoad, LayerOutcome
from tests.benchmarks.room import Load, Outcome
from tests.benchmarks.tables import Sample
from tests.support.redis_process import RedisProcess

LONGEST_SECONDS = 300


def run_room(contender: Contender, load: Load, cores: Cores) -> Sample:
    """Run a room's load against a server of this contender."""
    with RedisProcess() as redis, ServerProcess(contender, redis.port, cores) as server:
        assert redis.process is not None
        pin(redis.process.pid, cores.redis)
        load = replace(load, port=server.port, watched=(server.pid, redis.process.pid), path=contender.room)
        outcome = Outcome(**_program("tests.benchmarks.room", asdict(load), cores.clients))
    deliveries = max(outcome.deliveries, 1)
    return Sample(
        server_us=outcome.server_cpu_seconds / deliveries * 1e6,
        redis_us=outcome.redis_cpu_seconds / deliveries * 1e6,
        client_busy=outcome.client_cpu_seconds / outcome.seconds,
        deliveries_per_second=outcome.deliveries / outcome.seconds,
        lost=outcome.lost,
        twice=outcome.twice,
    )


def run_layer(load: LayerLoad, cores: Cores) -> Sample:
    """Run a layer alone."""
    with RedisProcess() as redis:
        assert redis.process is not None
        pin(redis.process.pid, cores.redis)
        load = replace(load, redis_port=redis.port)
        outcome = LayerOutcome(**_program("tests.benchmarks.layer_alone", asdict(load), cores.server))
    return Sample(
        server_us=outcome.cpu_seconds / outcome.deliveries * 1e6,
        redis_us=None,
        client_busy=None,
        deliveries_per_second=outcome.deliveries / outcome.seconds,
        lost=outcome.lost,
        twice=outcome.twice,
    )


def run_figure(figure: str, backend: str, cores: Cores, **arguments: Any) -> dict[str, float]:
    """Measure one of tests/benchmarks/layer_figures.py against a server of its own."""
    with RedisProcess() as redis:
        assert redis.process is not None
        pin(redis.process.pid, cores.redis)
        wanted = {"figure": figure, "backend": backend, "port": redis.port, **arguments}
        return _program("tests.benchmarks.layer_figures", wanted, cores.server)


def run_auth_figure(figure: str, cores: Cores, **arguments: Any) -> dict[str, float]:
    """Measure one of tests/benchmarks/auth_figures.py."""
    return _program("tests.benchmarks.auth_figures", {"figure": figure, **arguments}, cores.server)


def _program(module: str, argument: object, core: int | None) -> dict[str, Any]:
    """Run a module as a program on one core and read the JSON object that it prints."""
    command = [sys.executable, "-m", module, json.dumps(argument)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        pin(process.pid, core)
        try:
            output, _ = process.communicate(timeout=LONGEST_SECONDS)
        finally:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"{module} ended with exit code {process.returncode}")
    result: dict[str, Any] = json.loads(output)
    return result
