"""Which pods of a resource the console asks for the spans of a message."""

from __future__ import annotations

import time
from typing import Any

from realtime_operator.console.cluster_source import ClusterSource
from realtime_operator.objects.gateway_pods import ADMIN_PORT
from realtime_operator.observe.object_cache import ObjectCache
from realtime_operator.options import Options
from realtime_operator.reconciler import Reconciler


def test_gateways_and_workers_tell_spans_once_they_have_an_address_and_nobody_else_does() -> None:
    cache = ObjectCache()
    for name, component, status in (
        ("chat-1", "gateway", {"podIP": "10.0.0.1"}),
        ("chat-2", "gateway", {}),
        ("chat-receipts-1", "worker", {"podIP": "fd00::1"}),
        ("chat-redis-0-0", "redis", {"podIP": "10.0.0.3"}),
    ):
        labels = {"app.kubernetes.io/instance": "chat", "app.kubernetes.io/component": component}
        metadata = {"name": name, "namespace": "town", "uid": name, "labels": labels}
        cache.put({"kind": "Pod", "metadata": metadata, "status": status})
    nobody: Any = None  # the API server is not asked
    key = ("town", "chat")
    reader = Reconciler(key, Options("rtg", (), "gateway:1", "me"), nobody, cache, lambda: False, time.monotonic)
    source = ClusterSource(key, reader, cache, time.monotonic)
    assert source.admin_ports() == {
        "chat-1": f"http://10.0.0.1:{ADMIN_PORT}",
        "chat-receipts-1": f"http://[fd00::1]:{ADMIN_PORT}",
    }
