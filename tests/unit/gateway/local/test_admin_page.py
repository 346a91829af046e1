from tests.support.free_port import free_port

from realtime_gateway.console.history import Totals
from realtime_gateway.local.admin_page import GatewayNumbers, get, numbers_from

PAGE = """\
# HELP realtime_gateway_connections Client connections open now.
# TYPE realtime_gateway_connections gauge
realtime_gateway_connections{protocol="http"} 2.0
realtime_gateway_connections{protocol="websocket"} 17.0
# TYPE realtime_gateway_layer_epoch gauge
realtime_gateway_layer_epoch 3.0
"""


def test_connections_are_web_sockets_and_the_epoch_is_the_layers():
    assert numbers_from(PAGE) == GatewayNumbers(connections=17, epoch=3, totals=Totals(connections=17))


def test_before_the_first_connection_there_are_none():
    assert numbers_from("") == GatewayNumbers(connections=0, epoch=0)


async def test_a_page_of_nobody_has_no_status():
    assert await get(free_port(), "/readyz") == (None, "")
