"""The site of the tests of secrets: a room, a worker, and a resource with its Secrets in one file."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import jwt
from tests.integration.local.conftest import HEAD
from tests.support.redis_process import RedisProcess
from tests.support.replaced_file import put
from tests.support.up_process import UpProcess, inherited
from websockets.sync.client import ClientConnection, connect

# Nothing else on the machine has these words.
PASSWORD = "sentinel-redis-password-6f1d"
JWT_KEY, OTHER_JWT_KEY = ("sentinel-jwt-key-93ab-" + letter * 16 for letter in "xy")
KEY, OTHER_KEY = ("sentinel-encryption-key-c2e7-" + letter * 4 for letter in "xy")

SITE = {
    "site_settings.py": """
import os
SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["realtime_gateway", "django.contrib.auth", "django.contrib.contenttypes"]
ROOT_URLCONF = "site_code"
ASGI_APPLICATION = "site_asgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {
        "django": {"handlers": ["stderr"]},
        "realtime_gateway.security": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
CHANNEL_LAYERS = {"default": {
    "BACKEND": "realtime_gateway.layer.RedisChannelLayer", "CONFIG": {"key_settle_seconds": 2},
}}
""",
    "site_code.py": """
import json
from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path


def fails(request):
    raise RuntimeError("this view fails")


class Room(AsyncWebsocketConsumer):
    groups = ["room"]

    async def receive(self, text_data):
        if text_data == "boom":
            raise RuntimeError("this consumer fails")
        await self.channel_layer.group_send("room", {"type": "said", "text": text_data})
        await self.channel_layer.send("mail", {"type": "post", "text": text_data})

    async def said(self, event):
        await self.send(event["text"])


class Mail(AsyncConsumer):
    async def post(self, event):
        pass


urlpatterns = [path("fails/", fails)]
websocket_urlpatterns = [path("room/", Room.as_asgi())]
""",
    "site_asgi.py": """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from realtime_gateway.auth.jwt import JwtMiddleware
from realtime_gateway.auth.token_sources import Query
from realtime_gateway.routing import gateway_application
JwtMiddleware.sources = (Query(),)


def channels():
    from site_code import Mail
    return {"mail": Mail.as_asgi()}


import django
django.setup()
application = gateway_application("site_code.websocket_urlpatterns", channels=channels())
""",
}
SPEC = """\
  application: site_asgi:application
  settingsModule: site_settings
  replicas: 2
  drain: {{periodSeconds: 1}}
  security: {{allowedOrigins: ["*"]}}
  auth: {{stack: jwt, jwt: {{secretRef: {{name: site, key: jwt}}}}}}
  channelLayer: {{encryptionKeysSecretRef: {{name: site, key: keys}}}}
  workers: [{{name: mail, channels: [mail]}}]
  redis:
    external:
      hosts: [{{name: main, host: 127.0.0.1, port: {port}, passwordSecretRef: {{name: redis, key: password}}}}]
"""


def secret(name: str, **values: str) -> str:
    """A Secret as YAML; one value as data, the others as text."""
    first, *rest = values
    encoded = base64.b64encode(values[first].encode()).decode()
    plain = "".join(f"  {key}: {json.dumps(values[key])}\n" for key in rest) or "  none: needed\n"
    head = f"---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n"
    return f"{head}data: {{{first}: {encoded}}}\nstringData:\n{plain}"


class Site:
    """A site in a directory, its Redis, and the file that `up` gets."""

    def __init__(self, directory: Path, server: RedisProcess) -> None:
        self.directory = directory
        self.server = server
        for name, code in SITE.items():
            (directory / name).write_text(code)
        self.environment = {"SITE_DATABASE": str(directory / "site.sqlite3")}
        code = "from django.core.management import call_command; import django; django.setup(); "
        code += "call_command('migrate', verbosity=0); "
        code += "from django.contrib.auth.models import User; User.objects.create_user('ann', password='x')"
        environment = inherited() | self.environment | {"DJANGO_SETTINGS_MODULE": "site_settings"}
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=directory, env=environment)

    def write(self, jwt_key: str = JWT_KEY, keys: str = KEY, *, without: str = "") -> Path:
        text = HEAD + SPEC.format(port=self.server.port)
        for name, values in {"site": {"jwt": jwt_key, "keys": keys}, "redis": {"password": PASSWORD}}.items():
            text += "" if name == without else secret(name, **values)
        return put(self.directory / "gateway.yaml", text)


def token(key: str = JWT_KEY) -> str:
    return jwt.encode({"sub": "1", "exp": time.time() + 600}, key, "HS256")


def room(up: UpProcess, given: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{up.port}/room/?token={given}", origin="http://127.0.0.1", proxy=None)  # type: ignore[arg-type]
