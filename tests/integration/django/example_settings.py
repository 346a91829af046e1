"""The example's settings for tests: cheap passwords, and another channel layer if the environment has one, as JSON."""

import json
import os

from chat.settings import *  # noqa: F403  (a settings module that varies another one)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if "TEST_CHANNEL_LAYER" in os.environ:
    CHANNEL_LAYERS = {"default": json.loads(os.environ["TEST_CHANNEL_LAYER"])}
