from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.server.client_address import Client, TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8"])
INSIDE = Client("10.0.0.1", 40000, "http")
OUTSIDE = Client("203.0.113.9", 50000, "http")


def who(forwarded_for: list[str], peer: Client = INSIDE) -> str | None:
    return PROXIES.client(peer, forwarded_for, []).host


CASES = {
    "the one that the proxy names": (["198.51.100.7"], "198.51.100.7"),
    "what the client has put before itself is its own word": (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
    "through a chain of trusted proxies": (["198.51.100.7, 10.1.1.1, 10.2.2.2"], "198.51.100.7"),
    "a trusted address that the client claims is not believed": (["10.9.9.9, 198.51.100.7"], "198.51.100.7"),
    "several headers are one list": (["1.1.1.1", "198.51.100.7", "10.1.1.1"], "198.51.100.7"),
    "all trusted: the farthest": (["10.3.3.3, 10.1.1.1"], "10.3.3.3"),
    "no header: the proxy itself": ([], "10.0.0.1"),
    "a word that is no address ends the reading": (["198.51.100.7, unknown, 10.1.1.1"], "10.1.1.1"),
    "an empty word too": (["198.51.100.7, "], "10.0.0.1"),
    "an address of IPv6 in brackets with a port": (["[2001:db8::7]:4711, fd00::1"], "2001:db8::7"),
    "an address of IPv4 in the clothes of IPv6": (["198.51.100.7, ::ffff:10.1.1.1"], "198.51.100.7"),
}


@pytest.mark.parametrize("sentence", CASES)
def test_the_client_is_the_rightmost_that_is_not_trusted(sentence: str):
    forwarded_for, expected = CASES[sentence]
    assert who(forwarded_for) == expected


def test_the_port_is_the_one_that_the_proxy_names_or_none():
    assert PROXIES.client(INSIDE, ["198.51.100.7:4711"], []).port == 4711
    assert PROXIES.client(INSIDE, ["198.51.100.7"], []).port == 0


@given(st.lists(st.text(max_size=40), max_size=5), st.lists(st.text(max_size=10), max_size=3))
def test_nobody_who_is_not_trusted_is_believed_whatever_is_said(forwarded_for: list[str], proto: list[str]):
    assert PROXIES.client(OUTSIDE, forwarded_for, proto) == OUTSIDE


@given(prefix=st.lists(st.text(alphabet="0123456789.,:abcdef[] \t%", max_size=60), max_size=4))
def test_nothing_that_a_client_writes_changes_who_it_is(prefix: list[str]):
    """Its proxy appends the true address, either to the last header or as one more."""
    joined = [*prefix[:-1], f"{prefix[-1]}, 198.51.100.7"] if prefix else ["198.51.100.7"]
    assert who(joined) == who([*prefix, "198.51.100.7"]) == "198.51.100.7"


@given(st.lists(st.text(max_size=60), max_size=6), st.lists(st.text(max_size=20), max_size=6))
def test_a_proxys_nonsense_is_never_an_exception(forwarded_for: list[str], proto: list[str]):
    client = PROXIES.client(INSIDE, forwarded_for, proto)
    assert client.scheme in {"http", "https"}
    assert 0 <= client.port <= 65_535


def test_the_scheme_is_that_of_the_clients_own_hop():
    chain = ["198.51.100.7, 10.1.1.1"]
    assert PROXIES.client(INSIDE, chain, ["https, http"]).scheme == "https"
    assert PROXIES.client(INSIDE, chain, ["https"]).scheme == "https"
    assert PROXIES.client(INSIDE, chain, ["gopher"]).scheme == "http"
    assert PROXIES.client(INSIDE, ["1.1.1.1, 198.51.100.7"], ["https, http"]).scheme == "http"


def test_without_trusted_proxies_nobody_is_trusted_and_a_unix_socket_only_with_some():
    assert not TrustedProxies([]).trusts("127.0.0.1")
    assert not TrustedProxies([]).trusts(None)
    assert PROXIES.trusts(None)
    assert PROXIES.client(Client(None, 0, "http"), ["198.51.100.7"], []).host == "198.51.100.7"


def test_what_is_no_network_is_refused_with_its_name():
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/99"):
        TrustedProxies(["10.0.0.0/99"])
