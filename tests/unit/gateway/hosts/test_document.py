import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.hosts.document import MOST_EPOCH
from realtime_gateway.layer.envelope import Entry, EnvelopeInvalid, pack, parse

names = st.text(st.characters(exclude_characters="\n:", exclude_categories=("Cs",)), min_size=1, max_size=20)
shard_lists = st.lists(
    st.builds(Shard, names, st.floats(0.1, 100), st.just({"host": "127.0.0.1", "port": 6379})),
    min_size=1,
    max_size=5,
    unique_by=lambda shard: shard.name,
).map(tuple)


@given(shard_lists, shard_lists)
def test_a_list_survives_its_document(shards, older):
    hosts = HostList(2, shards, (HostList(1, older),))
    assert HostList.from_json(hosts.to_json(), "the test") == hosts


def shard(**fields):
    return {"epoch": 1, "shards": [fields]}


SHARD = '[{"name": "a", "host": "h"}]'


@pytest.mark.parametrize(
    ("document", "message"),
    {
        "text that is not JSON": ("{", "hosts.json: not a JSON document"),
        "a list instead of an object": ("[]", "hosts.json: Expected a host list as an object"),
        "no shards at all": ('{"epoch": 1, "shards": []}', "epoch 1 has no shards"),
        "shards that are not a list": ('{"epoch": 1, "shards": "redis"}', "Expected shards as a list"),
        "an epoch below zero": (f'{{"epoch": -1, "shards": {SHARD}}}', "whole number from 0"),
        "an epoch that is true": (f'{{"epoch": true, "shards": {SHARD}}}', "whole number from 0"),
        "an epoch that no message has room for": (
            f'{{"epoch": 4294967296, "shards": {SHARD}}}',
            "from 0 to 4294967295, not 4294967296",
        ),
        "an epoch that is a time in milliseconds": (f'{{"epoch": 1764160000000, "shards": {SHARD}}}', "add one"),
        "an unknown field": ('{"epoch": 1, "hosts": []}', "no hosts"),
        "a shard without a name": (json.dumps(shard(host="h")), "non-empty line of text"),
        "a name with a colon": (json.dumps(shard(name="eu:0", host="h")), "without a colon, not 'eu:0'"),
        "a name of two lines": (json.dumps(shard(name="a\nb", host="h")), "non-empty line of text"),
        "a name that is no text": (json.dumps(shard(name=5, host="h")), "non-empty line of text"),
        "a name that cannot be sent": (json.dumps(shard(name="b\ud800", host="h")), "non-empty line of text"),
        "a shard that is nowhere": (json.dumps(shard(name="a")), "Shard 'a' says neither address"),
        "a shard behind no Sentinel": (
            json.dumps(shard(name="b", master_name="m", sentinel=[["h", 1]])),
            "Shard 'b' names a master but no",
        ),
        "earlier shards that are nowhere": (
            f'{{"epoch": 2, "shards": {SHARD}, "earlier": [{{"epoch": 1, "shards": [{{"name": "b"}}]}}]}}',
            "Shard 'b' says neither address",
        ),
        "a weight of zero": (json.dumps(shard(name="a", weight=0)), "above 0"),
        "a weight that no float holds": ('{"shards": [{"name": "a", "weight": 1' + "0" * 400 + "}]}", "finite"),
        "a weight that is text": (json.dumps(shard(name="a", weight="1")), "must be a number"),
        "two shards of one name": (
            '{"epoch": 1, "shards": [{"name": "a", "host": "g"}, {"name": "a", "host": "h"}]}',
            "'a' more than once",
        ),
        "lists within lists": (
            f'{{"epoch": 1, "shards": {SHARD}, "earlier": [' * 500 + "]}" * 500,
            "not a JSON|earlier lists within",
        ),
        "earlier lists that are newer": (
            f'{{"epoch": 1, "shards": {SHARD}, "earlier": [{{"epoch": 2, "shards": {SHARD}}}]}}',
            "falling epochs below 1",
        ),
    }.values(),
)
def test_a_document_that_cannot_be_used_says_what_and_where(document, message):
    with pytest.raises(HostListInvalid, match=message) as caught:
        HostList.from_json(document, "hosts.json")
    assert str(caught.value).startswith("hosts.json")


def test_equal_lists_give_equal_bytes():
    one = HostList(1, (Shard("a", 1.0, {"host": "h", "port": 1}),))
    other = HostList(1, (Shard("a", 1.0, {"port": 1, "host": "h"}),))
    assert one.to_json() == other.to_json()


def test_a_password_in_a_shard_stays_out_of_its_repr():
    assert "secret" not in repr(HostList(1, (Shard("a", 1.0, {"password": "secret"}),)))


@pytest.mark.parametrize("shards", ['["redis://:secret@h"]', '"redis://:secret@h"'])
def test_a_password_in_a_list_that_is_none_stays_out_of_the_error(shards):
    with pytest.raises(HostListInvalid) as caught:
        HostList.from_json(f'{{"epoch": 1, "shards": {shards}}}', "hosts.json")
    assert "secret" not in str(caught.value)


def test_the_greatest_epoch_is_one_that_an_entry_has_room_for():
    greatest = HostList(MOST_EPOCH, (Shard("a"),)).epoch
    assert parse(pack(Entry(1, greatest, 1, 1, 0, 0, "", b"", b""))).epoch == greatest
    with pytest.raises(EnvelopeInvalid):
        pack(Entry(1, greatest + 1, 1, 1, 0, 0, "", b"", b""))


def test_every_shard_of_every_list_is_named_once_in_its_newest_form() -> None:
    old = HostList(1, (Shard("a", 1, {"host": "old"}), Shard("b", 1, {"host": "b"})))
    new = HostList(2, (Shard("a", 1, {"host": "new"}), Shard("c", 1, {"host": "c"})), (old,))
    assert [(shard.name, shard.connection["host"]) for shard in new.every_shard] == [
        ("a", "new"), ("c", "c"), ("b", "b"),
    ]  # fmt: skip


def test_who_makes_the_next_list_is_part_of_the_document() -> None:
    kept = HostList(1, (Shard("a", 1, {"host": "h"}),), managed_by="RealtimeGateway default/chat")
    assert HostList.from_json(kept.to_json(), "here") == kept
    with pytest.raises(HostListInvalid, match="managed_by must be a text"):
        HostList.from_document({**kept.to_document(), "managed_by": 1})


def test_lists_of_two_epochs_or_with_other_shards_are_not_the_same() -> None:
    one = HostList(1, (Shard("a", 1, {"host": "h"}),))
    assert one.same_as(HostList(1, (Shard("a", 1.0, {"host": "h"}),)))
    assert not one.same_as(HostList(2, one.shards))
    assert not one.same_as(HostList(1, (Shard("a", 2, {"host": "h"}),)))
