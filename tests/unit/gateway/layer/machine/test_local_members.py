from __future__ import annotations

from realtime_gateway.layer.machine.follow import Follow, Span
from realtime_gateway.layer.machine.local_members import LocalMembers, members_since


def test_a_channel_is_known_in_every_destination_until_it_is_in_none() -> None:
    members = LocalMembers()
    members.add("a.me!1", "g:room")
    members.add("a.me!1", "g:lobby")
    assert sorted(members.destinations_of("a.me!1")) == ["g:lobby", "g:room"]
    members.remove("a.me!1", "g:room")
    members.remove("a.me!1", "g:lobby")
    members.remove("a.me!1", "g:lobby")
    assert members.destinations_of("a.me!1") == []
    assert not members._destinations, "channels come and go: nothing may be left of them"


def test_a_channel_in_many_destinations_is_in_each_once_and_leaves_one_after_the_other() -> None:
    members, groups = LocalMembers(), [f"g:{number}" for number in range(30)]
    for group in (*groups, *groups):
        members.add("a.me!1", group)
    assert members.destinations_of("a.me!1") == groups
    for left, group in enumerate(groups, 1):
        members.remove("a.me!1", group)
        assert members.destinations_of("a.me!1") == groups[left:]
    assert not members._destinations


def test_the_oldest_members_are_found_first() -> None:
    follow = Follow("g:room", Span("0", 0), 0.0)
    follow.members = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert members_since(follow, 2.0) == ["a", "b"]
    assert members_since(follow, 0.5) == []
