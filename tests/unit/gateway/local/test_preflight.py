"""What `up` says of external shards before anything starts."""

from __future__ import annotations

import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.local.preflight import check_external
from realtime_gateway.resource.spec import ExternalHost


async def test_a_shard_that_is_spoken_to_by_tls_has_to_be_named_by_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALTIME_GATEWAY_REDIS_TLS_DIRECTORY", "/etc/redis-tls")
    with pytest.raises(ConfigurationError, match="shard a is spoken to by TLS") as raised:
        await check_external(ExternalHost("a", host="redis.example.com"))
    assert "rediss://" in raised.value.remedy
