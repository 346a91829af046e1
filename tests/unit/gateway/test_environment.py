from pathlib import Path

import pytest

from realtime_gateway.environment import PassedSocket, passed_sockets, read_environment
from realtime_gateway.errors import ConfigurationError


def test_an_empty_environment_names_nothing():
    environment = read_environment({})
    assert environment.hosts_file is None
    assert environment.resource_file is None
    assert environment.process_name is None
    assert environment.redis_urls == ()


def test_each_url_of_redis_url_is_a_shard_in_the_order_given():
    environment = read_environment({"REDIS_URL": "redis://a:1, redis://b:2 ,"})
    assert environment.redis_urls == ("redis://a:1", "redis://b:2")


def test_the_files_and_the_name_are_taken_as_given():
    environment = read_environment(
        {
            "REALTIME_GATEWAY_CONFIG": "/etc/gateway/hosts.json",
            "REALTIME_GATEWAY_RESOURCE": "/etc/gateway/gateway.json",
            "REALTIME_GATEWAY_PROCESS": "chat-0",
        }
    )
    assert environment.hosts_file == Path("/etc/gateway/hosts.json")
    assert environment.resource_file == Path("/etc/gateway/gateway.json")
    assert environment.process_name == "chat-0"


def test_a_password_in_redis_url_stays_out_of_the_repr():
    assert "hunter2" not in repr(read_environment({"REDIS_URL": "redis://:hunter2@a:1"}))


def test_who_logs_in_to_redis_is_a_name_and_a_file():
    environment = read_environment(
        {"REALTIME_GATEWAY_REDIS_USERNAME": "gateway", "REALTIME_GATEWAY_REDIS_PASSWORD_FILE": "/run/password"}
    )
    assert environment.redis_username == "gateway"
    assert environment.redis_password_file == Path("/run/password")


def test_certificates_are_a_directory_and_a_name():
    environment = read_environment(
        {"REALTIME_GATEWAY_REDIS_TLS_DIRECTORY": "/tls", "REALTIME_GATEWAY_REDIS_TLS_NAME": "chat-redis.talk.svc"}
    )
    assert environment.redis_tls_directory == Path("/tls")
    assert environment.redis_tls_name == "chat-redis.talk.svc"


def test_sockets_of_systemd_begin_at_3_and_have_its_names():
    passed = passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:api"}, pid=7)
    assert passed == (PassedSocket(3, "web"), PassedSocket(4, "api"))


def test_sockets_without_names_are_there_all_the_same():
    assert passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, pid=7) == (PassedSocket(3, "unknown"),)


def test_sockets_that_were_passed_to_another_process_are_not_ours():
    assert passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, pid=8) == ()
    assert passed_sockets({}, pid=8) == ()


@pytest.mark.parametrize("count", ["", "-1", "two"])
def test_a_number_of_sockets_that_is_none_is_refused(count: str):
    with pytest.raises(ConfigurationError, match="LISTEN_FDS"):
        passed_sockets({"LISTEN_PID": "7", "LISTEN_FDS": count}, pid=7)
