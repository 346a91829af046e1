"""Which secrets the processes of a resource need, and where they find them."""

from __future__ import annotations

import re

import pytest

from realtime_gateway.resource.parsing import parse_resource
from realtime_gateway.resource.secret_files import redis_password, secret_files
from realtime_gateway.resource.spec import GatewaySpec

HOSTS = [
    {"name": "one", "host": "redis-1", "passwordSecretRef": {"name": "redis", "key": "one"}},
    {"name": "two", "host": "redis-2"},
    {"name": "a shard / of Zoë", "url": "redis://redis-3", "passwordSecretRef": {"name": "redis", "key": "three"}},
]


def spec(**fields: object) -> GatewaySpec:
    document = {
        "apiVersion": "realtime-gateway.io/v1alpha1",
        "kind": "RealtimeGateway",
        "metadata": {"name": "chat"},
        "spec": {"application": "chat.asgi:application", "redis": {"managed": {}}, **fields},
    }
    return parse_resource(document).spec


def test_a_resource_without_secrets_needs_no_files() -> None:
    assert secret_files(spec()) == {}


def test_each_reference_has_a_file_of_its_own_named_after_its_purpose() -> None:
    found = secret_files(
        spec(
            auth={"stack": "jwt", "jwt": {"secretRef": {"name": "jwt", "key": "hmac"}}},
            channelLayer={"encryptionKeysSecretRef": {"name": "layer", "key": "keys"}},
            redis={"external": {"hosts": HOSTS}},
        )
    )
    assert {path: (ref.name, ref.key) for path, ref in found.items()} == {
        "jwt-key": ("jwt", "hmac"),
        "encryption-keys": ("layer", "keys"),
        "redis/one": ("redis", "one"),
        redis_password("a shard / of Zoë"): ("redis", "three"),
    }


@pytest.mark.parametrize("name", ["a shard / of Zoë", "..", ".hidden", "../../etc/passwd", "a\x00b", "n" * 200])
def test_a_shard_may_be_called_anything_and_its_file_stays_in_the_directory(name: str) -> None:
    assert re.fullmatch(r"redis/[0-9a-f]{64}", redis_password(name))
