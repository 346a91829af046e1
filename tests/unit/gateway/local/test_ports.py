import os
import socket
from pathlib import Path

import pytest
from tests.support.free_port import free_port

from realtime_gateway.errors import StartError
from realtime_gateway.local.ports import FIRST_PORT, LAST_PORT, find_ports, reserve_public_port

HERE = Path("/run/chat")


def test_every_name_gets_a_port_of_its_own_below_those_of_outgoing_connections():
    ports = find_ports([f"p{number}" for number in range(50)], {}, HERE)
    assert len(set(ports.values())) == 50
    assert all(FIRST_PORT <= port <= LAST_PORT for port in ports.values())


def test_the_same_directory_leads_to_the_same_ports_again():
    assert find_ports(["a", "b"], {}, HERE) == find_ports(["a", "b"], {}, HERE)


def test_a_port_that_somebody_listens_on_is_stepped_over():
    [port] = find_ports(["a"], {}, HERE).values()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert find_ports(["a"], {}, HERE)["a"] != port


def test_names_that_have_a_port_keep_it_and_no_other_gets_it():
    first = find_ports(["a", "b"], {}, HERE)
    second = find_ports(["a", "b", "c"], first, HERE)
    assert {name: second[name] for name in first} == first
    assert second["c"] not in first.values()


def test_names_that_are_gone_give_their_port_up():
    assert find_ports(["b"], {"a": 20_001, "b": 20_002}, HERE) == {"b": 20_002}


def test_the_public_port_is_kept_from_others_until_it_is_closed():
    port = free_port()
    with reserve_public_port("127.0.0.1", port), pytest.raises(StartError, match=f"Port {port} of 127.0.0.1 is in use"):
        reserve_public_port("127.0.0.1", port)
    reserve_public_port("127.0.0.1", port).close()


def test_a_port_that_somebody_shares_is_in_use_all_the_same():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(StartError, match="is in use"):
            reserve_public_port("127.0.0.1", other.getsockname()[1])


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_named(host: str):
    with pytest.raises(StartError) as error:
        reserve_public_port(host, free_port())
    assert host in error.value.message
    assert "--host" in error.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen on any port")
def test_a_port_for_root_only_is_named():
    with pytest.raises(StartError, match="port 80"):
        reserve_public_port("127.0.0.1", 80)
