"""For the tests of projects that use the gateway: a live server test case.

``live_server`` is the test case, ``server_process`` what it starts, ``errand`` what it tells it. Consumers are tested
without a server as before, with ``channels.testing.WebsocketCommunicator``. Nothing else imports this package.
"""

from realtime_gateway.testing.live_server import GatewayLiveServerTestCase

__all__ = ["GatewayLiveServerTestCase"]
