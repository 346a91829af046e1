import socket

import pytest

from realtime_gateway.errors import StartError
from realtime_gateway.server import processes
from realtime_gateway.server.options import InheritedSocket, TcpAddress, TwistedEndpoint, UnixAddress


def test_a_child_that_fails_again_and_again_is_started_less_and_less_often():
    pauses = [processes.pause_seconds(failures) for failures in range(1, 10)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_on_linux_each_child_binds_the_held_port_itself(monkeypatch):
    monkeypatch.setattr(processes.sys, "platform", "linux")
    shared = processes.share([TcpAddress("127.0.0.1", 0)], 10, reuse_port=False)
    try:
        (address,) = shared.addresses
        assert isinstance(address, TcpAddress)
        assert address.port
        assert shared.reuse_port
        assert shared.fds == ()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.host, address.port))
    finally:
        shared.close()


def test_where_the_kernel_does_not_balance_the_children_share_one_socket(monkeypatch):
    monkeypatch.setattr(processes.sys, "platform", "darwin")
    shared = processes.share([TcpAddress("127.0.0.1", 0)], 10, reuse_port=False)
    try:
        assert shared.addresses == (InheritedSocket(shared.sockets[0].fileno()),)
        assert shared.fds == (shared.sockets[0].fileno(),)
        socket.create_connection(shared.sockets[0].getsockname()).close()
    finally:
        shared.close()


def test_a_unix_socket_is_shared_as_one_socket_everywhere(tmp_path):
    shared = processes.share([UnixAddress(str(tmp_path / "serve.sock"))], 10, reuse_port=False)
    try:
        assert shared.addresses == (InheritedSocket(shared.fds[0]),)
    finally:
        shared.close()


def test_a_twisted_endpoint_cannot_be_shared():
    with pytest.raises(StartError, match="Twisted endpoint"):
        processes.share([TwistedEndpoint("ssl:443")], 10, reuse_port=False)
