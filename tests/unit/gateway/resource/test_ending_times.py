"""What a pod is given to end is what the steps of its end may take."""

from __future__ import annotations

import re
from pathlib import Path

from realtime_gateway.layer import binding, leaving
from realtime_gateway.resource import ending_times
from realtime_gateway.server.options import ServerOptions
from realtime_gateway.telemetry.exporters import LAST_SPANS_SECONDS
from realtime_gateway.telemetry.metrics_export import LAST_SECONDS

SERVER = Path(__file__).parents[4] / "docs" / "server.md"


def test_the_margin_holds_all_that_comes_after_the_drains_period() -> None:
    steps = (
        ending_times.FRESH_SECONDS,
        ServerOptions().close_timeout_seconds,
        ending_times.LAST_WORDS_SECONDS,  # those that are cut
        ending_times.LAST_WORDS_SECONDS,  # those that are cancelled then
        ending_times.SHUTDOWN_SECONDS,
        ending_times.LAYER_SECONDS,
        ending_times.LAST_WORDS_SECONDS,  # forgotten tasks
        ending_times.THREADS_SECONDS,
    )
    assert sum(steps) <= ending_times.GRACE_MARGIN_SECONDS < sum(steps) + 1


def test_a_layer_takes_leave_in_its_time() -> None:
    # A lane is emptied, the shard is asked for its replicas, WAIT has twice its time, and the lane is emptied again.
    own_loop = 2 * leaving._LANE_SECONDS + 3 * leaving._REPLICA_SECONDS
    assert max(own_loop, binding._END_SECONDS) <= ending_times.LAYER_SECONDS


def test_the_last_spans_and_metrics_leave_while_threads_may_go_on() -> None:
    assert max(LAST_SPANS_SECONDS, LAST_SECONDS) <= ending_times.THREADS_SECONDS


def test_the_documentation_says_the_same_number() -> None:
    (said,) = re.findall(r"acceptSeconds \+ periodSeconds \+ (\d+)", SERVER.read_text())
    assert int(said) == ending_times.GRACE_MARGIN_SECONDS
