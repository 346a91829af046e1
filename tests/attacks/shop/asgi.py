"""The ASGI application."""

import os

from realtime_gateway.routing import gateway_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")
application = gateway_application("shop.websocket_urlpatterns", auth="none")
queried = gateway_application("shop.knocking_urlpatterns", auth="query")
