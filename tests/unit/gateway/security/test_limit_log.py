from __future__ import annotations

import logging

from realtime_gateway.security.limit_log import LimitLog


def test_the_first_time_is_said_at_once_and_the_rest_once_a_period(caplog):
    later: list = []
    log = LimitLog(lambda seconds, call: later.append(call), logging.getLogger(__name__))
    with caplog.at_level(logging.WARNING):
        for number in range(500):
            log.met("websocket.maxConnections", f"192.0.2.{number % 250}", "answered with 503")
        log.met("http.maxHeadSize", "192.0.2.1", "answered with 431")
        assert len(caplog.records) == 2
        later.pop(0)()
    assert caplog.messages == [
        "Limit websocket.maxConnections met by 192.0.2.0: answered with 503",
        "Limit http.maxHeadSize met by 192.0.2.1: answered with 431",
        "Limit websocket.maxConnections met 499 more times in 10 s, the last by 192.0.2.249, answered with 503",
    ]


def test_after_a_quiet_period_the_next_time_is_said_at_once_again(caplog):
    later: list = []
    log = LimitLog(lambda seconds, call: later.append(call), logging.getLogger(__name__))
    with caplog.at_level(logging.WARNING):
        log.met("websocket.handshakeRate", "a", "answered with 503")
        later.pop()()
        log.met("websocket.handshakeRate", "b", "answered with 503")
    assert len(caplog.records) == 2
    assert len(later) == 1
