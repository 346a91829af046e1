import socket

import pytest

from realtime_gateway.errors import StartError
from realtime_gateway.server.listening import open_socket
from realtime_gateway.server.options import InheritedSocket, TcpAddress, TwistedEndpoint, UnixAddress


def opened(address, **options) -> socket.socket:
    listener = open_socket(address, 10, **options)
    assert listener is not None
    return listener


def test_a_tcp_socket_sends_small_frames_at_once():
    with opened(TcpAddress("127.0.0.1", 0)) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not listener.getblocking()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "not inherited"


def test_a_port_in_use_is_named():
    with opened(TcpAddress("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} of 127.0.0.1 is in use"):
            open_socket(TcpAddress("127.0.0.1", port), 10)
        with pytest.raises(StartError, match="is in use"):
            open_socket(TcpAddress("127.0.0.1", port), 10, reuse_port=True)


def test_a_port_is_shared_by_those_that_all_agree():
    with opened(TcpAddress("127.0.0.1", 0), reuse_port=True) as one:
        opened(TcpAddress("127.0.0.1", one.getsockname()[1]), reuse_port=True).close()


def test_a_host_that_does_not_resolve_is_named():
    with pytest.raises(StartError, match=r"no-such-host\.invalid"):
        open_socket(TcpAddress("no-such-host.invalid", 80), 10)


def test_an_address_of_another_machine_is_named():
    with pytest.raises(StartError, match=r"192\.0\.2\.1"):
        open_socket(TcpAddress("192.0.2.1", 0), 10)


def test_a_dead_unix_socket_is_replaced_and_a_live_one_is_in_use(tmp_path):
    path = str(tmp_path / "s")
    opened(UnixAddress(path)).close()
    with opened(UnixAddress(path)), pytest.raises(StartError, match="in use"):
        open_socket(UnixAddress(path), 10)


def test_a_file_is_never_taken_for_a_dead_socket(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(StartError, match="in use"):
        open_socket(UnixAddress(str(path)), 10)
    assert path.read_text() == "data"


def test_an_inherited_socket_is_duplicated_and_set_listening():
    with socket.socket() as inherited:
        inherited.bind(("127.0.0.1", 0))
        with opened(InheritedSocket(inherited.fileno())):
            socket.create_connection(inherited.getsockname()).close()
        assert inherited.fileno() >= 0


def test_a_descriptor_that_is_no_socket_is_named(tmp_path):
    with open(tmp_path / "file", "w") as file, pytest.raises(StartError, match=f"fd:{file.fileno()}"):
        open_socket(InheritedSocket(file.fileno()), 10)


def test_other_endpoints_are_left_to_twisted():
    assert open_socket(TwistedEndpoint("ssl:443"), 10) is None
