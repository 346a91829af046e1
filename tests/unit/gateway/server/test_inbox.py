from hypothesis import given
from hypothesis import strategies as some

from realtime_gateway.server.inbox import OVERHEAD_BYTES, Inbox

HIGH, LOW = 10_000, 4_000


def test_messages_come_out_in_the_order_they_went_in():
    inbox = Inbox(HIGH, LOW)
    for number in range(5):
        inbox.put({"number": number}, 10)
    assert [inbox.take()[0]["number"] for _ in range(5)] == list(range(5))


def test_reading_stops_at_the_high_mark_and_goes_on_at_the_low_one():
    inbox = Inbox(HIGH, LOW)
    assert not inbox.put({}, 5_000)
    assert inbox.put({}, 5_000)
    assert inbox.paused
    assert not inbox.put({}, 5_000), "said once only"
    assert not inbox.take()[1]
    assert not inbox.take()[1]
    assert inbox.take()[1]
    assert not inbox.paused


def test_a_flood_of_empty_messages_weighs_what_it_costs():
    inbox = Inbox(HIGH, LOW)
    count = 0
    while not inbox.put({}, 0):
        count += 1
    assert count < HIGH / OVERHEAD_BYTES


@given(some.lists(some.one_of(some.integers(0, 20_000), some.none()), max_size=60))
def test_the_weight_is_that_of_what_waits_and_pause_and_resume_alternate(steps: list[int | None]):
    inbox, waiting, signals = Inbox(HIGH, LOW), [], []
    for size in steps:
        if size is not None:
            waiting.append(size)
            if inbox.put({}, size):
                signals.append("pause")
        elif waiting:
            waiting.pop(0)
            if inbox.take()[1]:
                signals.append("resume")
        assert inbox.waiting_bytes == sum(waiting) + OVERHEAD_BYTES * len(waiting)
        assert len(inbox) == len(waiting)
        assert inbox.paused or inbox.waiting_bytes < HIGH
    assert signals == (["pause", "resume"] * len(signals))[: len(signals)]
