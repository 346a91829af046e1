"""The section `redis`: where messages live, in shards that are run for this gateway or by someone else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from realtime_gateway.resource.cluster import PodTemplate, Resources, SecretKey, Storage
from realtime_gateway.resource.fields import GIB, MIB, Items, Number, Size, setting
from realtime_gateway.resource.forms import IMAGE, LINE, OBJECT_NAME, PORT, REDIS_URL, SERVER, SHARD_NAME


@dataclass(frozen=True)
class Tls:
    """Encrypted connections, of everybody who speaks with Redis, by certificates of both sides."""

    secret_name: str = setting(
        "The Secret with tls.crt, tls.key and ca.crt; its certificate is for NAME-redis.NAMESPACE.svc.",
        rule=OBJECT_NAME,
    )


@dataclass(frozen=True)
class ManagedRedis:
    """Redis shards that are run for this gateway."""

    shards: int = setting("How many shards share the groups and channels.", default=1, rule=Number(1, 64))
    replicas: int = setting(
        "Replicas of each shard's primary; with fewer than 2, a failover leaves the shard without one.",
        default=2,
        rule=Number(0, 5),
    )
    sentinels: int = setting("Sentinels that decide on failovers: odd, at least 3.", default=3, rule=Number(3, 9))
    image: str = setting("The image of Redis and Sentinel.", default="docker.io/library/redis:7.2", rule=IMAGE)
    max_memory_bytes: int = setting(
        "Memory that the data of one Redis server may take.", default=256 * MIB, rule=Size(MIB, 1024 * GIB)
    )
    max_memory_policy: Literal["noeviction", "volatile-ttl", "volatile-lru", "volatile-lfu", "volatile-random"] = (
        setting("What a full server does; noeviction refuses writes and so loses nothing unsaid.", default="noeviction")
    )
    storage: Storage | None = setting(
        "A volume per server and an append-only file; left out, data lives in memory only.", default=None
    )
    resources: Resources | None = setting("Requests and limits of a Redis container.", default=None)
    tls: Tls | None = setting("Encryption, from the beginning or never; left out, connections are plain.", default=None)
    pod_template: PodTemplate | None = setting("What is added to the Redis and Sentinel pods.", default=None)


@dataclass(frozen=True)
class Endpoint:
    """Where one Sentinel listens."""

    host: str = setting("Host name or address.", rule=SERVER)
    port: int = setting("Port.", default=26_379, rule=PORT)


@dataclass(frozen=True)
class ExternalHost:
    """One shard that someone else runs; exactly one of url, host and sentinels."""

    name: str = setting(
        "The shard's name, which decides what it owns; an address may change, it may not.", rule=SHARD_NAME
    )
    weight: int = setting("Its share of the keys, relative to the other shards.", default=1, rule=Number(1, 1000))
    url: str | None = setting("Where it is, as a Redis URL.", default=None, rule=REDIS_URL)
    host: str | None = setting("Where it is, as a host name or an address.", default=None, rule=SERVER)
    port: int = setting("Its port, with host.", default=6_379, rule=PORT)
    sentinels: tuple[Endpoint, ...] = setting("The Sentinels that know where it is.", default=(), rule=Items(16))
    master_name: str | None = setting("What those Sentinels call it.", default=None, rule=LINE)
    db: int = setting("The database number, with host or sentinels.", default=0, rule=Number(0, 1024))
    username: str | None = setting("The user to log in as; left out, the default user.", default=None, rule=LINE)
    password_secret_ref: SecretKey | None = setting("A Secret with the password.", default=None)

    def connection(self) -> dict[str, Any]:
        """Return it as one dict of ``hosts`` in the words of channels_redis, without a password of passwordSecretRef.

        Name and weight are left out: the host list holds them.
        """
        if self.url is not None:
            place: dict[str, Any] = {"address": self.url}
        elif self.sentinels:
            sentinels = [[sentinel.host, sentinel.port] for sentinel in self.sentinels]
            place = {"sentinels": sentinels, "master_name": self.master_name, "db": self.db}
        else:
            place = {"host": self.host, "port": self.port, "db": self.db}
        return place if self.username is None else {**place, "username": self.username}


@dataclass(frozen=True)
class ExternalRedis:
    """Redis shards that someone else runs."""

    hosts: tuple[ExternalHost, ...] = setting("The shards.", rule=Items(64, at_least=1, key="name"))


@dataclass(frozen=True)
class Redis:
    """Where messages live; exactly one of managed and external."""

    managed: ManagedRedis | None = setting("Shards that are run for this gateway.", default=None)
    external: ExternalRedis | None = setting("Shards that someone else runs.", default=None)
