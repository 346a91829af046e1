from pathlib import Path

from realtime_gateway.environment import read_environment


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
    assert "secret" not in repr(read_environment({"REDIS_URL": "redis://:secret@a:1"}))


def test_who_logs_in_to_redis_is_a_name_and_a_file():
    environment = read_environment(
        {"REALTIME_GATEWAY_REDIS_USERNAME": "gateway", "REALTIME_GATEWAY_REDIS_PASSWORD_FILE": "/run/password"}
    )
    assert environment.redis_username == "gateway"
    assert environment.redis_password_file == Path("/run/password")
