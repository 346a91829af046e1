import pickle
import re

from realtime_gateway import errors


def test_an_error_reads_as_what_happened_and_what_to_do():
    error = errors.ConfigurationError("gateway.yaml is empty.", "Write a resource into it.")
    assert str(error) == "gateway.yaml is empty. Write a resource into it."


def test_an_error_without_a_remedy_ends_with_its_message():
    assert str(errors.StartError("redis-server ended.")) == "redis-server ended."


def test_trouble_with_a_shard_names_it():
    error = errors.ShardUnavailable("chat-redis-0", "Shard 'chat-redis-0' did not answer within 10 s.")
    assert error.shard == "chat-redis-0"
    assert isinstance(error, errors.GatewayError)


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    ours = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    drawn = set(re.findall(r"^ {4}(?:[│ ]+)?(?:[├└]── )?(\w+) ", errors.__doc__ or "", re.MULTILINE))
    assert drawn == ours


def test_an_error_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(errors.ShardRefused("a", "refused", "log in")))
    assert (error.shard, error.message, error.remedy) == ("a", "refused", "log in")
