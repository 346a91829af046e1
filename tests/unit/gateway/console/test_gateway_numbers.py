"""A gateway's numbers, out of its metrics page."""

from __future__ import annotations

from realtime_gateway.console.gateway_numbers import GatewayNumbers, numbers_from
from realtime_gateway.console.history import Totals

PAGE = """\
# HELP realtime_gateway_connections Client connections open now.
# TYPE realtime_gateway_connections gauge
realtime_gateway_connections{protocol="http"} 2.0
realtime_gateway_connections{protocol="websocket"} 17.0
# TYPE realtime_gateway_layer_epoch gauge
realtime_gateway_layer_epoch 3.0
"""


def test_connections_are_web_sockets_and_the_epoch_is_the_layers() -> None:
    assert numbers_from(PAGE) == GatewayNumbers(connections=17, epoch=3, totals=Totals(connections=17))


def test_before_the_first_connection_there_are_none() -> None:
    assert numbers_from("") == GatewayNumbers(connections=0, epoch=0)


def test_what_is_counted_by_labels_is_one_sum() -> None:
    name = "realtime_gateway_layer_published_total"
    page = f'{name}{{kind="group"}} 3.0\n{name}{{kind="queue"}} 4.0\n'
    assert numbers_from(page).totals.published == 7


def test_what_is_no_number_is_left_out() -> None:
    assert numbers_from("realtime_gateway_messages_sent_total many\nrealtime_gateway_layer_epoch x\n") == numbers_from(
        ""
    )
