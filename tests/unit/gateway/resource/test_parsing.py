import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.resource_cases import ACCEPTED, REFUSED

from realtime_gateway.errors import ResourceInvalid
from realtime_gateway.resource import RealtimeGateway, parse_resource
from realtime_gateway.resource.fields import settings_of
from realtime_gateway.resource.reference import _inner_section
from realtime_gateway.resource.spec import ExternalHost, GatewaySpec, Worker


def document(**spec):
    return {
        "apiVersion": "realtime-gateway.io/v1alpha1",
        "kind": "RealtimeGateway",
        "metadata": {"name": "chat"},
        "spec": {"application": "chat.asgi:application", **spec},
    }


def problems(given):
    with pytest.raises(ResourceInvalid) as caught:
        parse_resource(given)
    return [f"{each.path}: {each.message}".removeprefix(": ") for each in caught.value.problems]


def outcome(given):
    try:
        return parse_resource(given)
    except ResourceInvalid as error:
        return error.problems


def test_the_smallest_resource_is_made_of_defaults():
    assert parse_resource(document()) == RealtimeGateway(
        "chat", "default", GatewaySpec(application="chat.asgi:application")
    )


def test_what_a_resource_sets_is_in_the_spec():
    resource = parse_resource(
        document(
            replicas=2,
            websocket={"maxMessageSize": "64Ki", "pingIntervalSeconds": 5},
            channelLayer={"history": {"seconds": 30}, "channelCapacity": [{"pattern": "a*", "capacity": 7}]},
            workers=[{"name": "mail", "channels": ["mail", "sms"]}],
            drain={"jitter": 1},
        )
    )
    assert resource.spec.replicas == 2
    assert resource.spec.websocket.max_message_size_bytes == 65_536
    assert resource.spec.websocket.ping_interval_seconds == 5
    assert resource.spec.channel_layer.history.seconds == 30
    assert resource.spec.channel_layer.channel_capacity[0].capacity == 7
    assert resource.spec.workers == (Worker("mail", ("mail", "sms")),)
    assert resource.spec.drain.jitter == 1


def test_a_namespace_and_foreign_metadata_are_accepted():
    given = document() | {"metadata": {"name": "chat", "namespace": "web", "uid": "1", "labels": {"a": "b"}}}
    assert parse_resource(given).namespace == "web"


def test_a_status_is_read_over():
    assert parse_resource(document() | {"status": {"phase": "Ready"}}).name == "chat"


def test_null_means_left_out():
    assert parse_resource(document(replicas=None, workers=None, redis=None)).spec.replicas == 3


def test_external_shards_take_the_place_of_managed_ones():
    redis = parse_resource(document(redis={"external": {"hosts": [{"name": "a", "host": "h"}]}})).spec.redis
    assert redis.managed is None
    assert redis.external is not None
    assert redis.external.hosts == (ExternalHost("a", host="h"),)


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_wrong_field_is_named_with_what_was_expected(sentence):
    case = REFUSED[sentence]
    assert problems(document(**case.spec)) == [case.problem]


@pytest.mark.parametrize("sentence", ACCEPTED)
def test_what_is_meant_to_work_is_accepted(sentence):
    assert parse_resource(document(**ACCEPTED[sentence])).name == "chat"


TOP = {
    "not an object": ([], "expected an object with apiVersion, kind, metadata, spec, not a list"),
    "nothing": (None, "expected an object with apiVersion, kind, metadata, spec, not nothing"),
    "another kind": (
        document() | {"kind": "Deployment"},
        'kind: expected RealtimeGateway, not "Deployment"',
    ),
    "another version": (
        document() | {"apiVersion": "v1"},
        'apiVersion: expected realtime-gateway.io/v1alpha1, not "v1"',
    ),
    "no kind": ({**document(), "kind": None}, "kind: missing; expected RealtimeGateway"),
    "no name": (document() | {"metadata": {}}, "metadata.name: missing"),
    "no metadata": (document() | {"metadata": None}, "metadata.name: missing"),
    "a misspelt namespace": (
        document() | {"metadata": {"name": "chat", "namspace": "web"}},
        "metadata.namspace: unknown field; did you mean namespace?",
    ),
    "a name that no object may have": (
        document() | {"metadata": {"name": "Chat"}},
        'metadata.name: expected a name of lower-case letters, digits and dashes that starts with a letter, not "Chat"',
    ),
    "a name too long": (
        document() | {"metadata": {"name": "a" * 41}},
        "metadata.name: expected a name of lower-case letters, digits and dashes that starts with a letter, "
        "of at most 40 characters, not 41",
    ),
    "no spec": ({**document(), "spec": None}, "spec: missing; it says what should run"),
    "an unknown top field": (document() | {"specs": {}}, "specs: unknown field; did you mean spec?"),
}


@pytest.mark.parametrize("sentence", TOP)
def test_a_document_that_is_no_resource_is_refused(sentence):
    given, problem = TOP[sentence]
    assert problems(given) == [problem]


def test_all_problems_are_reported_at_once():
    given = document(replicas="x", drain={"periodSeconds": -1}, workers=[{}], cachee={})
    given["kind"] = "X"
    assert len(problems(given)) == 6


def test_a_password_in_a_url_is_never_shown():
    [problem] = problems(document(redis={"external": {"hosts": [{"name": "a", "url": "redi://:hush@h"}]}}))
    assert "hush" not in problem


def test_a_long_value_is_shortened():
    [problem] = problems(document(application="x" * 200))
    assert len(problem) < 200


def test_fields_that_only_a_cluster_reads_are_listed():
    resource = parse_resource(
        document(image="a:1", ingress={"host": "h"}, redis={"managed": {"storage": {"size": "1Gi"}}})
    )
    assert resource.ignored_locally == ("spec.image", "spec.redis.managed.storage", "spec.ingress")


def test_defaults_that_the_api_server_wrote_in_are_neither_refused_nor_listed():
    """The API server writes every default into every object, also those of parts that are not built."""
    resource = parse_resource(document(**with_defaults(GatewaySpec)))
    assert resource == parse_resource(document())


def with_defaults(kind):
    from realtime_gateway.resource.schema import default_value

    found = {}
    for setting in settings_of(kind):
        value = default_value(setting)
        if value is not None:
            inner = _inner_section(setting)
            found[setting.name] = with_defaults(inner) if inner and value == {} else value
    return found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
names = st.sampled_from(sorted({setting.name for setting in settings_of(GatewaySpec)} | {"managed", "hosts", "jwt"}))
near_misses = st.recursive(
    json_values | st.sampled_from(["1Mi", "a:b", "session", "none", "a", 0, 1, 3, "redis://a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(near_misses, st.sampled_from(["document", "spec", "metadata"]))
def test_any_input_gives_a_resource_or_problems_and_nothing_else(value, place):
    given = value if place == "document" else document() | {place: value}
    result = outcome(given)
    assert isinstance(result, RealtimeGateway) or (all(each.message for each in result) and result)


@st.composite
def one_spoilt_field(draw):
    """A valid spec in which one field, chosen at any depth, holds something else."""
    spec = {"application": "a:b"}
    holder, kind = spec, GatewaySpec
    while True:
        setting = draw(st.sampled_from(settings_of(kind)))
        inner = _inner_section(setting)
        if inner is None or draw(st.booleans()):
            holder[setting.name] = draw(json_values)
            return spec
        holder[setting.name] = {}
        holder, kind = holder[setting.name], inner


@settings(max_examples=300, deadline=None)
@given(one_spoilt_field())
def test_a_spoilt_field_gives_a_resource_or_problems_and_nothing_else(spec):
    result = outcome(document() | {"spec": spec})
    assert isinstance(result, RealtimeGateway) or json.dumps([str(each) for each in result])
