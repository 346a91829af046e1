import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.server.options import (
    InheritedSocket,
    ServerOptions,
    TcpAddress,
    TwistedEndpoint,
    UnixAddress,
    parse_address,
)


@pytest.mark.parametrize(
    ("description", "address"),
    [
        ("tcp:port=8000:interface=127.0.0.1", TcpAddress("127.0.0.1", 8000)),
        ("tcp:8000", TcpAddress("0.0.0.0", 8000)),
        ("tcp:8000:interface=localhost", TcpAddress("localhost", 8000)),
        (r"tcp:port=0:interface=\:\:1", TcpAddress("::1", 0)),
        ("fd:fileno=5", InheritedSocket(5)),
        ("unix:/run/chat.sock", UnixAddress("/run/chat.sock")),
        ("unix:/run/chat.sock:mode=600", TwistedEndpoint("unix:/run/chat.sock:mode=600")),
        ("ssl:443:privateKey=key.pem", TwistedEndpoint("ssl:443:privateKey=key.pem")),
        ("tcp:8000:backlog=5", TwistedEndpoint("tcp:8000:backlog=5")),
        ("systemd:domain=INET:index=0", TwistedEndpoint("systemd:domain=INET:index=0")),
    ],
)
def test_plain_endpoints_are_opened_by_us_and_all_others_by_twisted(description: str, address):
    assert parse_address(description) == address


def test_addresses_read_as_people_write_them():
    assert [str(address) for address in (TcpAddress("::1", 1), TcpAddress("a", 2), UnixAddress("/s"))] == [
        "[::1]:1",
        "a:2",
        "unix:/s",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"drain_accept_seconds": -1},
        {"drain_period_seconds": -0.1},
        {"drain_jitter": 1.5},
        {"admin_port": -1},
        {"close_timeout_seconds": -1},
        {"inbox_low_bytes": 10, "inbox_high_bytes": 10},
    ],
)
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        ServerOptions(**wrong)


def test_only_what_is_given_overrides():
    options = ServerOptions(admin_port=9000).with_overrides(admin_port=None, drain_jitter=0.0, reuse_port=True)
    assert (options.admin_port, options.drain_jitter, options.reuse_port) == (9000, 0.0, True)


@pytest.mark.parametrize("size", [-1, 0, 1023])
def test_a_limit_that_no_head_of_a_request_can_keep_is_refused(size: int):
    with pytest.raises(ConfigurationError, match="max_head_bytes is"):
        ServerOptions(max_head_bytes=size)
    assert ServerOptions(max_head_bytes=1024).max_head_bytes == 1024
