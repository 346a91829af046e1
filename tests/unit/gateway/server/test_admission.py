from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway import endings
from realtime_gateway.server.admission import Admission, Limits


def admitted(admission: Admission, address: str | None, now: float = 0.0) -> bool:
    if admission.ask(address, now) is not None:
        return False
    admission.arrived(address)
    return True


def test_without_limits_everybody_comes_in():
    admission = Admission(Limits())
    assert all(admitted(admission, "192.0.2.1") for _ in range(1000))


def test_one_address_fills_its_own_share_and_nobody_elses():
    admission = Admission(Limits(connections_per_address=2))
    assert [admitted(admission, "192.0.2.1") for _ in range(3)] == [True, True, False]
    assert admitted(admission, "192.0.2.2")
    refused = admission.ask("192.0.2.1", 0)
    assert refused is not None
    assert (refused.ending, refused.limit) == (endings.TOO_MANY_OF_ADDRESS, "websocket.maxConnectionsPerIP")
    admission.gone("192.0.2.1")
    assert admitted(admission, "192.0.2.1")


def test_clients_without_an_address_are_not_counted_by_it():
    admission = Admission(Limits(connections_per_address=1))
    assert all(admitted(admission, None) for _ in range(3))


def test_handshakes_are_let_in_at_the_rate_and_one_second_of_it_at_once():
    admission = Admission(Limits(handshakes_per_second=10))
    assert sum(admitted(admission, None, 5.0) for _ in range(30)) == 10
    assert sum(admitted(admission, None, 5.5) for _ in range(30)) == 5
    assert sum(admitted(admission, None, 500.0) for _ in range(30)) == 10


def test_who_is_refused_for_another_reason_takes_no_token():
    admission = Admission(Limits(connections=1, handshakes_per_second=2))
    assert admitted(admission, "a")
    assert not admitted(admission, "a")
    admission.gone("a")
    assert admitted(admission, "a")


@given(st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", None]), max_size=60))
def test_when_all_have_left_all_may_come_again(addresses):
    admission = Admission(Limits(connections=20, connections_per_address=5))
    inside = [address for address in addresses if admitted(admission, address)]
    assert len(inside) <= 20
    for address in inside:
        admission.gone(address)
    assert all(admitted(admission, "192.0.2.1") for _ in range(5))
