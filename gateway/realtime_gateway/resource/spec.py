"""The spec of a RealtimeGateway, and the one place of its defaults; the modules beside it hold parts of it.

Everything that reads a resource, in a pod, on a laptop or in the operator, gets these frozen objects. In a resource the
names are in camelCase, and a size in bytes is a Kubernetes quantity without its unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realtime_gateway.resource.cluster import (
    HttpRoute,
    Ingress,
    NetworkPolicy,
    PodTemplate,
    SecretKey,
    Service,
)
from realtime_gateway.resource.fields import GIB, KIB, MIB, Items, Number, Size, section, setting
from realtime_gateway.resource.forms import (
    APPLICATION,
    CHANNEL,
    COUNT,
    DNS_LABEL,
    IMAGE,
    LINE,
    LONG_SECONDS,
    MESSAGES,
    MODULE,
    NETWORK,
    ORIGIN,
    SECONDS,
    URL,
)
from realtime_gateway.resource.limits import AddressLimits, ByteRate, ConnectionLimits, Limits, MessageRate, UserLimits
from realtime_gateway.resource.shards import Endpoint, ExternalHost, ExternalRedis, ManagedRedis, Redis, Tls
from realtime_gateway.resource.telemetry import Telemetry

__all__ = [
    "AddressLimits",
    "Auth",
    "Autoscaling",
    "ByteRate",
    "Cache",
    "ChannelCapacity",
    "ChannelLayer",
    "ConnectionLimits",
    "Drain",
    "Endpoint",
    "ExternalHost",
    "ExternalRedis",
    "GatewaySpec",
    "History",
    "Http",
    "Jwt",
    "Limits",
    "ManagedRedis",
    "MessageRate",
    "RealtimeGateway",
    "Redis",
    "Security",
    "Telemetry",
    "Tls",
    "UserLimits",
    "WebSocket",
    "Worker",
    "WorkerAutoscaling",
]

# Of a request: its line and its headers.
LEAST_HEAD_BYTES = KIB


@dataclass(frozen=True)
class Autoscaling:
    """Gateway pods by connections."""

    max_replicas: int = setting("At most this many pods.", rule=Number(1, 1000))
    min_replicas: int = setting("At least this many pods.", default=1, rule=Number(1, 1000))
    connections_per_pod: int = setting(
        "How many connections a pod should hold; more of them mean more pods.", default=5_000, rule=Number(1, 1_000_000)
    )


@dataclass(frozen=True)
class WebSocket:
    """Limits of one WebSocket connection and of one gateway process."""

    max_connections: int = setting(
        "Connections that one process accepts; more are refused with 503; 0 means no limit.",
        default=10_000,
        rule=Number(0, 1_000_000),
    )
    max_connections_per_ip: int = setting(
        "Connections that one process accepts from one client address (one /64 of IPv6); more are refused with 429; "
        "0 means no limit.",
        default=0,
        rule=Number(0, 1_000_000),
        name="maxConnectionsPerIP",
    )
    handshake_rate_per_second: int = setting(
        "Handshakes that one process begins per second; more are refused with 503; 0 means no limit.",
        default=0,
        rule=Number(0, 100_000),
        name="handshakeRate",
    )
    max_message_size_bytes: int = setting(
        "The largest message that a client may send; a larger one ends its connection with 1009.",
        default=MIB,
        rule=Size(1, GIB),
    )
    ping_interval_seconds: int = setting(
        "Seconds without traffic after which a client is pinged; 0 turns pings off.", default=20, rule=SECONDS
    )
    ping_timeout_seconds: int = setting(
        "Seconds within which a client must answer a ping, or be closed; 0 means it need not.", default=30, rule=SECONDS
    )
    send_queue_size_bytes: int = setting(
        "Bytes that may wait for a slow client; one that does not catch up in sendQueueSeconds is closed with 1013.",
        default=MIB,
        rule=Size(1024, GIB),
    )
    send_queue_seconds: int = setting(
        "Seconds for which more than sendQueueSize may wait for a client, or for which a client whose buffers are full "
        "may take nothing; then it is closed with 1013.",
        default=10,
        rule=Number(1, 3_600),
    )
    compression: bool = setting(
        "Whether messages are compressed (permessage-deflate) for clients that offer it.", default=False
    )
    compression_window_bits: int = setting(
        "The largest window of either side, as a power of two; a context takes about 12 times 2 to this many bytes "
        "while a message is on its way.",
        default=12,
        rule=Number(9, 15),
    )
    compression_context_size_bytes: int = setting(
        "Memory of one process for contexts that are kept from message to message; a connection that finds none left "
        "begins each message anew; 0 keeps none.",
        default=0,
        rule=Size(0, 64 * GIB),
    )
    compression_min_size_bytes: int = setting(
        "The shortest message that is compressed.", default=256, rule=Size(0, GIB)
    )
    max_age_seconds: int = setting(
        "Seconds after which a connection is closed with 1012, so that load spreads again, each up to a quarter "
        "earlier; 0 means never.",
        default=0,
        rule=LONG_SECONDS,
    )


@dataclass(frozen=True)
class Http:
    """Limits of HTTP requests, handshakes among them."""

    head_timeout_seconds: int = setting(
        "Seconds within which a request's head must arrive, counted from the connection; a later one is answered with "
        "408; 0 means for ever.",
        default=10,
        rule=Number(0, 3_600),
    )
    send_timeout_seconds: int = setting(
        "Seconds for which a client may take nothing of a response that waits for it, before it is cut; 0 means for "
        "ever.",
        default=60,
        rule=Number(0, 3_600),
    )
    max_head_size_bytes: int = setting(
        "The longest head of a request (its line and headers); a longer one is answered with 431.",
        default=16 * KIB,
        rule=Size(LEAST_HEAD_BYTES, MIB),
    )
    max_body_size_bytes: int = setting(
        "The largest body of a request; a larger one is answered with 413; 0 means no limit.",
        default=100 * MIB,
        rule=Size(0, 1024 * GIB),
    )


@dataclass(frozen=True)
class Security:
    """Who may connect from where."""

    allowed_origins: tuple[str, ...] = setting(
        "Origins whose pages may open a WebSocket; none listed leaves it to the application.",
        default=(),
        rule=Items(64, each=ORIGIN, unique=True),
    )
    trusted_proxies: tuple[str, ...] = setting(
        "Networks whose X-Forwarded-For, X-Forwarded-Proto and PROXY protocol are believed; none listed: nobody's.",
        default=(),
        rule=Items(64, each=NETWORK, unique=True),
    )
    limits: Limits = section(
        "Limits against those who send or connect too much; acts through gateway_application.", Limits
    )


@dataclass(frozen=True)
class Jwt:
    """How tokens are checked; exactly one of jwksUrl and secretRef."""

    jwks_url: str | None = setting("Where the issuer publishes its keys.", default=None, rule=URL)
    secret_ref: SecretKey | None = setting("A Secret that holds a shared key.", default=None)
    issuer: str | None = setting(
        "The issuer that a token must name; where none is set, it may name none.", default=None, rule=LINE
    )
    audience: str | None = setting(
        "The audience that a token must name; where none is set, it may name none.", default=None, rule=LINE
    )


@dataclass(frozen=True)
class Auth:
    """Who a client is; acts through gateway_application."""

    stack: Literal["session", "jwt", "drfToken", "simpleJwt", "query", "none"] = setting(
        "How clients authenticate.", default="session"
    )
    jwt: Jwt | None = setting("For the stack jwt.", default=None)
    revalidation_period_seconds: int = setting(
        "Seconds between two looks at whether connected users may still be connected; 0 means never.",
        default=300,
        rule=SECONDS,
    )


@dataclass(frozen=True)
class History:
    """What each group's stream keeps for readers that were away."""

    seconds: int = setting("How long an outage may last without a message lost.", default=60, rule=Number(1, 3_600))
    messages: int = setting("How many messages of one group are kept at most.", default=10_000, rule=MESSAGES)


@dataclass(frozen=True)
class ChannelCapacity:
    """The capacity of channels whose names match."""

    pattern: str = setting("A glob over channel names, such as http.response!*.", rule=LINE)
    capacity: int = setting("How many messages may wait unread in each.", rule=MESSAGES)


@dataclass(frozen=True)
class ChannelLayer:
    """Options of the channel layer, as in CONFIG of CHANNEL_LAYERS, whose values win over these."""

    prefix: str = setting("What every key and channel in Redis begins with.", default="asgi", rule=LINE)
    expiry_seconds: int = setting(
        "How long a message may wait unread before it is dropped.", default=60, rule=Number(1, 86_400)
    )
    group_expiry_seconds: int = setting(
        "How long a normal channel stays in a group without being added again.",
        default=86_400,
        rule=Number(1, 30 * 86_400),
    )
    capacity: int = setting("How many messages may wait unread in one channel.", default=100, rule=MESSAGES)
    channel_capacity: tuple[ChannelCapacity, ...] = setting(
        "Capacities by name; the first pattern that matches decides.", default=(), rule=Items(64)
    )
    history: History = section("What each group's stream keeps for readers that were away.", History)
    serializer: Literal["msgpack", "json"] = setting("How messages are encoded.", default="msgpack")
    encryption_keys_secret_ref: SecretKey | None = setting(
        "A Secret with the keys that encrypt messages, one per line, the newest first; left out, they are not.",
        default=None,
    )


@dataclass(frozen=True)
class WorkerAutoscaling:
    """Workers by the age of what waits for them."""

    max_replicas: int = setting("At most this many processes.", rule=Number(1, 1000))
    min_replicas: int = setting("At least this many processes.", default=1, rule=Number(1, 1000))
    lag_seconds: int = setting(
        "How old the oldest waiting message may be before workers are added.", default=5, rule=Number(1, 3_600)
    )


@dataclass(frozen=True)
class Worker:
    """Processes that consume normal channels (`manage.py runworker`)."""

    name: str = setting("The worker's name.", rule=DNS_LABEL)
    channels: tuple[str, ...] = setting(
        "The channels that it consumes.", rule=Items(64, at_least=1, each=CHANNEL, unique=True)
    )
    replicas: int = setting("How many processes.", default=1, rule=COUNT)
    autoscaling: WorkerAutoscaling | None = setting("The number of processes by lag.", default=None)


@dataclass(frozen=True)
class Cache:
    """A Redis of its own for Django's cache and sessions, never a shard; its URL is in CACHE_URL."""

    enabled: bool = setting("Whether it is run.", default=False)
    max_memory_bytes: int = setting(
        "Memory that its data may take; the least recently used is evicted.",
        default=128 * MIB,
        rule=Size(MIB, 64 * GIB),
    )


@dataclass(frozen=True)
class Drain:
    """How a gateway process ends without cutting everyone at once."""

    accept_seconds: int = setting(
        "Seconds for which it goes on accepting after it said that it is not ready.", default=5, rule=Number(0, 300)
    )
    period_seconds: int = setting(
        "Seconds over which its connections are closed with 1012.", default=30, rule=Number(0, 3_600)
    )
    jitter: float = setting(
        "How far each close moves at random, as a fraction of the time between two closes.",
        default=0.5,
        rule=Number(0, 1),
    )


def _redis_by_default() -> Redis:
    return Redis(managed=ManagedRedis())


@dataclass(frozen=True)
class GatewaySpec:
    """What should run."""

    application: str = setting("The ASGI application, as module:attribute.", rule=APPLICATION)
    settings_module: str | None = setting(
        "DJANGO_SETTINGS_MODULE; left out, the application sets it.", default=None, rule=MODULE
    )
    image: str | None = setting("The image of gateway and workers; left out, the example's.", default=None, rule=IMAGE)
    replicas: int = setting("How many gateway processes.", default=3, rule=COUNT)
    autoscaling: Autoscaling | None = setting("The number of gateway processes by connections.", default=None)
    websocket: WebSocket = section("Limits of connections.", WebSocket)
    http: Http = section("Limits of HTTP requests.", Http)
    security: Security = section("Who may connect from where.", Security)
    auth: Auth = section("Who a client is.", Auth)
    redis: Redis = section("Where messages live; left out, one managed shard.", _redis_by_default)
    channel_layer: ChannelLayer = section("Options of the channel layer.", ChannelLayer)
    workers: tuple[Worker, ...] = setting(
        "Processes that consume normal channels.", default=(), rule=Items(32, key="name")
    )
    cache: Cache = section("A Redis for Django's cache and sessions.", Cache)
    drain: Drain = section("How a gateway process ends.", Drain)
    service: Service = section("The Service in front of the gateway pods.", Service)
    ingress: Ingress | None = setting("Exposure through an Ingress; not together with httpRoute.", default=None)
    http_route: HttpRoute | None = setting("Exposure through the Gateway API.", default=None)
    telemetry: Telemetry = section("Traces, metrics and dashboards.", Telemetry)
    network_policy: NetworkPolicy = section("Who may talk to the pods.", NetworkPolicy)
    suspend: bool = setting("Whether the operator leaves everything of this resource as it is.", default=False)
    deletion_policy: Literal["Delete", "Retain"] = setting(
        "What becomes of volumes when the resource is deleted.", default="Delete"
    )
    pod_template: PodTemplate | None = setting("What is added to the gateway and worker pods.", default=None)


@dataclass(frozen=True)
class RealtimeGateway:
    """A resource, read and checked.

    Attributes:
        name: its name.
        namespace: its namespace; "default" when it names none.
        spec: what should run.
        ignored_locally: paths of the fields that it sets and that mean something on Kubernetes only.
    """

    name: str
    namespace: str
    spec: GatewaySpec
    ignored_locally: tuple[str, ...] = ()
