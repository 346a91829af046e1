from __future__ import annotations

from typing import Any

from realtime_gateway.layer.mailboxes import Mailbox, Mailboxes, WatchedMailbox


class Letter:
    def __init__(self, name: str) -> None:
        self.name = name

    def decode(self) -> dict[str, object]:
        return {"name": self.name}


class Sleeper:
    def __init__(self) -> None:
        self.woken = False

    def done(self) -> bool:
        return self.woken

    def set_result(self, result: None) -> None:
        assert not self.woken
        self.woken = True


class Looker:
    def __init__(self) -> None:
        self.wakes = 0

    def wake(self) -> None:
        self.wakes += 1

    def wake_from_elsewhere(self) -> None:
        raise AssertionError("nobody is elsewhere")


def taken(box: Mailbox, now: float = 0) -> Any:
    body = box.take(now)
    return body.decode()["name"] if body else None


def test_messages_come_out_in_the_order_they_went_in() -> None:
    box = Mailbox(10, 0)
    for name in "abc":
        assert box.put(Letter(name), 60)
    assert [taken(box) for _ in range(4)] == ["a", "b", "c", None]


def test_a_full_mailbox_refuses_the_newest() -> None:
    box = Mailbox(2, 0)
    assert [box.put(Letter(name), 60) for name in "abc"] == [True, True, False]
    assert box.full
    assert [taken(box) for _ in range(3)] == ["a", "b", None]


def test_a_full_mailbox_has_room_for_a_few_notices_of_the_layer_itself() -> None:
    box = Mailbox(2, 0)
    for name in "ab":
        box.put(Letter(name), 60)
    assert [box.put_notice(Letter(str(number)), 60) for number in range(10)] == [True] * 8 + [False] * 2
    assert not box.put(Letter("c"), 60)
    assert [taken(box) for _ in range(3)] == ["a", "b", "0"]


def test_what_has_expired_is_dropped_from_the_old_end_and_counted() -> None:
    box = Mailbox(10, 0)
    box.put(Letter("a"), 1)
    box.put(Letter("b"), 2)
    box.put(Letter("c"), 5)
    assert box.expire(2) == 2
    assert taken(box) == "c"


def test_each_message_wakes_one_receiver_in_turn() -> None:
    box, first, second = Mailbox(10, 0), Sleeper(), Sleeper()
    box.wait(first)
    box.wait(second)
    box.put(Letter("a"), 60)
    assert (first.woken, second.woken) == (True, False)
    box.put(Letter("b"), 60)
    assert second.woken


def test_a_receiver_that_is_cancelled_after_it_was_woken_hands_its_turn_on() -> None:
    box, first, second = Mailbox(10, 0), Sleeper(), Sleeper()
    box.wait(first)
    box.wait(second)
    box.put(Letter("a"), 60)
    box.stop_waiting(first, 0)
    assert second.woken
    assert taken(box) == "a"


def test_a_receiver_that_is_cancelled_while_it_waits_takes_nothing() -> None:
    box, first, second = Mailbox(10, 0), Sleeper(), Sleeper()
    box.wait(first)
    box.wait(second)
    box.stop_waiting(first, 0)
    box.put(Letter("a"), 60)
    assert (first.woken, second.woken) == (False, True)


def test_a_receiver_that_gave_up_by_itself_is_passed_over() -> None:
    box, gone, waiting = Mailbox(10, 0), Sleeper(), Sleeper()
    box.wait(gone)
    box.wait(waiting)
    gone.woken = True
    assert box.readers == 1
    box.put(Letter("a"), 60)
    assert waiting.woken


def test_who_has_been_woken_does_not_wait_any_more() -> None:
    box, first, second = Mailbox(10, 0), Sleeper(), Sleeper()
    box.wait(first)
    box.wait(second)
    box.put(Letter("a"), 60)
    assert box.readers == 1
    box.stop_waiting(first, 0)
    assert second.woken
    assert box.readers == 0


def test_a_mailbox_is_idle_when_nobody_has_received_for_twice_the_life_of_a_message() -> None:
    boxes = Mailboxes(lambda channel: 5, expiry_seconds=60)
    boxes.open("unread", 0)
    boxes.open("looked into", 0).take(50)
    waited = boxes.open("waited on", 0)
    waited.wait(Sleeper())
    assert boxes.idle(120) == []
    assert boxes.idle(121) == [("unread", 121)]
    assert boxes.any_reader()
    assert sorted(boxes) == ["looked into", "unread", "waited on"]


def test_the_idle_ones_are_looked_for_once_in_a_twentieth_of_a_life() -> None:
    boxes = Mailboxes(lambda channel: 5, expiry_seconds=60)
    boxes.open("unread", 0)
    assert boxes.look_for_idle(119) == []
    assert boxes.look_for_idle(121.9) == []
    assert boxes.look_for_idle(122) == [("unread", 122)]


def test_messages_are_counted_and_expire_where_any_are() -> None:
    boxes = Mailboxes(lambda channel: 5, expiry_seconds=60)
    boxes.open("empty", 0)
    for number in range(3):
        boxes.open("filled", 0).put(Letter(str(number)), 10 + number)
    gone = boxes.open("gone", 0)
    boxes.drop("gone")
    gone.put(Letter("late"), 10)
    assert boxes.messages() == 3
    assert boxes.expire(11) == 2
    assert boxes.messages() == 1


def test_who_took_a_message_may_be_busy_with_it_for_ten_lives_of_one() -> None:
    boxes = Mailboxes(lambda channel: 5, expiry_seconds=60)
    box, receiver = boxes.open("handled", 0), Sleeper()
    box.put(Letter("a"), 60)
    assert taken(box, now=10)
    assert boxes.idle(610) == []
    assert boxes.idle(611) == [("handled", 601)]
    # Whoever asks for the next message and is cancelled is not busy any more.
    assert taken(box, now=300) is None
    box.wait(receiver)
    box.stop_waiting(receiver, 310)
    assert boxes.idle(431) == [("handled", 121)]


def test_a_mailbox_is_not_idle_while_somebody_looks_into_it_between_other_things() -> None:
    boxes = Mailboxes(lambda channel: 5, expiry_seconds=60)
    box = boxes.open("of a consumer that is busy with its client", 0)
    box.attendees = (Looker(),)
    assert box.take(1) is None
    assert boxes.idle(10_000) == []
    assert boxes.any_reader()
    box.attendees = ()
    assert [channel for channel, _ in boxes.idle(10_000)] == ["of a consumer that is busy with its client"]


def test_who_looks_into_a_mailbox_is_woken_for_each_message_beside_who_waits() -> None:
    box, looker, sleeper = Mailbox(2, 0), Looker(), Sleeper()
    box.attendees = (looker,)
    box.wait(sleeper)
    assert [box.put(Letter(name), 60) for name in "abc"] == [True, True, False]
    assert looker.wakes == 2
    assert sleeper.woken


def test_a_mailbox_says_that_it_is_no_more() -> None:
    boxes, looker = Mailboxes(lambda channel: 5, expiry_seconds=60), Looker()
    box = boxes.open("a", 0)
    box.attendees = (looker,)
    assert boxes.attendees() == [looker]
    assert not box.is_dropped
    boxes.drop("a")
    assert box.is_dropped
    assert boxes.attendees() == []
    assert not boxes.open("a", 0).is_dropped


def test_what_has_expired_goes_from_mailboxes_that_nobody_reads() -> None:
    boxes = Mailboxes(lambda channel: 5, expiry_seconds=60)
    for name in ("a", "b"):
        boxes.open(name, 0).put(Letter("old"), 60)
    boxes.open("a", 0).put(Letter("new"), 90)
    assert boxes.expire(61) == 2
    assert (len(boxes.open("a", 0)), len(boxes.open("b", 0))) == (1, 0)


def test_a_mailbox_takes_its_capacity_from_its_channels_name() -> None:
    boxes = Mailboxes(lambda channel: {"small": 1}.get(channel, 100), expiry_seconds=60)
    assert boxes.open("small", 0).capacity == 1
    assert boxes.open("small", 0) is boxes.get("small")


def test_dropping_says_how_many_messages_went_with_it_and_clearing_keeps_the_channel() -> None:
    boxes = Mailboxes(lambda channel: 5, expiry_seconds=60)
    boxes.open("a", 0).put(Letter("x"), 60)
    assert boxes.drop("a") == 1
    assert boxes.drop("a") == 0
    boxes.open("b", 0).put(Letter("x"), 60)
    boxes.clear()
    assert len(boxes) == 1
    assert len(boxes.open("b", 0)) == 0


def test_draining_gives_all_bodies_oldest_first() -> None:
    box = Mailbox(10, 0)
    box.put(Letter("a"), 60)
    box.put(Letter("b"), 60)
    assert [body.decode()["name"] for body in box.drain()] == ["a", "b"]
    assert not len(box)


def watched(boxes: Mailboxes, channel: str, capacity: int = 2) -> WatchedMailbox:
    box = WatchedMailbox(capacity, 0, lost=Letter("lost"), back=Letter("back"))
    boxes.open_watched(channel, box)
    return box


def test_who_watches_is_told_behind_what_fitted_that_something_did_not() -> None:
    box = watched(Mailboxes(lambda channel: 1, 60), "a")
    assert [box.put(Letter(name), 60) for name in "abc"] == [True, True, False]
    assert [taken(box) for _ in range(4)] == ["a", "b", "lost", None]


def test_what_waits_for_who_watches_does_not_expire() -> None:
    boxes = Mailboxes(lambda channel: 1, 60)
    box = watched(boxes, "a")
    box.put(Letter("a"), 1)
    assert boxes.expire(1000) == 0
    assert taken(box, 1000) == "a"


def test_only_who_watches_is_told_of_shards_and_of_what_came_too_late() -> None:
    boxes = Mailboxes(lambda channel: 1, 60)
    box, other, plain = watched(boxes, "a"), watched(boxes, "b"), boxes.open("c", 0)
    boxes.tell_watched(lost=False)
    boxes.missed({"a", "c"})
    assert [taken(box) for _ in range(3)] == ["back", "lost", None]
    assert [taken(other) for _ in range(2)] == ["back", None]
    assert taken(plain) is None


def test_who_is_dropped_watches_no_more() -> None:
    boxes = Mailboxes(lambda channel: 1, 60)
    box = watched(boxes, "a")
    boxes.drop("a")
    boxes.tell_watched(lost=True)
    assert taken(box) is None


def test_messages_that_wait_are_counted_over_all_mailboxes() -> None:
    boxes = Mailboxes(lambda channel: 10, 60)
    for channel in ("one", "one", "two"):
        boxes.open(channel, 0).put(Letter(channel), 60)
    assert (len(boxes), boxes.messages()) == (2, 3)


def test_receivers_who_have_to_look_elsewhere_are_taken_out_and_the_messages_stay() -> None:
    boxes = Mailboxes(lambda channel: 10, 60)
    sleepers = [Sleeper() for _ in range(3)]
    for channel, sleeper in zip("aab", sleepers, strict=True):
        boxes.open(channel, 0).wait(sleeper)
    assert boxes.take_waiters() == sleepers
    assert not boxes.any_reader()
    box = boxes.open("a", 0)
    assert box.put(Letter("x"), 60)
    assert not any(sleeper.woken for sleeper in sleepers), "only on their own loop"
    assert taken(box) == "x"


def test_a_notice_of_loss_takes_the_place_of_another_where_there_is_no_room_for_it() -> None:
    box = watched(Mailboxes(lambda channel: 1, 60), "a")
    for name in "ab":
        box.put(Letter(name), 60)
    for _ in range(8):
        box.tell(lost=False)
    assert not box.put(Letter("c"), 60)
    assert [taken(box) for _ in range(10)] == ["a", "b", *["back"] * 7, "lost"]


class OfClosedLoop:
    """A future whose loop was closed while somebody waited for it."""

    def done(self) -> bool:
        return False

    def set_result(self, result: None) -> None:
        raise RuntimeError("Event loop is closed")


def test_who_waited_on_a_loop_that_was_closed_costs_nobody_else_anything() -> None:
    box, other = Mailbox(10, 0), Sleeper()
    for waiter in (OfClosedLoop(), other):
        box.wait(waiter)
    assert box.put(Letter("a"), 60)
    assert other.woken
