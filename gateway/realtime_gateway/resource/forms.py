"""Forms of text and bounds of numbers that several fields of the resource share."""

from __future__ import annotations

from realtime_gateway.resource.fields import Number, Text

COUNT = Number(0, 1000)
SECONDS = Number(0, 86_400)
LONG_SECONDS = Number(0, 30 * 86_400)
MESSAGES = Number(1, 1_000_000)
PORT = Number(1, 65_535)

LINE = Text()
# As in a host list (hosts.document), where the name is a part of pub/sub channels.
SHARD_NAME = Text("a line of text without a colon", r"^[^:\r\n]+$")
URL = Text("a URL such as https://id.example.com/keys", r"^https?://\S+$", max_length=2048)
_PORT_DIGITS = "([0-9]{0,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_USER, _HOST = r"([^\s/?#]*@)?", r"(\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]*)"
REDIS_URL = Text(
    "a URL such as redis://redis-0.example.com:6379/0",
    rf"^(rediss?://{_USER}{_HOST}(:{_PORT_DIGITS})?([/?#]\S*)?|unix://\S+)$",
    2048,
    secret=True,
)
SERVER = Text("a host name or an address", r"^\S+$")
ORIGIN = Text("an origin such as https://chat.example.com, a host such as .example.com, or *", r"^\S+$")
NETWORK = Text("an address or a network such as 10.0.0.0/8", r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$", max_length=64)
CHANNEL = Text("a channel name: letters, digits, dashes, dots, underscores", r"^[a-zA-Z0-9\-_.]+$", max_length=99)
MODULE = Text("a Python module such as chat.settings", r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")
APPLICATION = Text(
    "module:attribute, such as chat.asgi:application",
    r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
)

DNS_LABEL = Text(
    "a name of lower-case letters, digits and dashes that starts with a letter",
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
    max_length=40,
)
OBJECT_NAME = Text(
    "the name of a Kubernetes object: lower-case letters, digits, dashes and dots",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
)
HOST_NAME = Text(
    "a host name such as chat.example.com or *.example.com",
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
)
IMAGE = Text("an image such as registry.example.com/chat:1.0", r"^\S+$", max_length=512)
ANNOTATION = Text("text", r"^[\s\S]*$", max_length=16384)
LABEL_VALUE = Text("a label's value", r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)
