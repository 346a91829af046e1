"""The site's asgi.py in two lines."""

import os

from realtime_gateway.routing import gateway_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = gateway_application("chat.routing.websocket_urlpatterns")
