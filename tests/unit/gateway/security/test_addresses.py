from __future__ import annotations

import pytest

from realtime_gateway.security.addresses import counted_as


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a word: with a colon", "a word: with a colon"),
    ],
)
def test_an_ipv6_host_counts_with_its_whole_network(address: str, key: str) -> None:
    assert counted_as(address) == key
