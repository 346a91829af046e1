"""The example's settings with another channel layer, as JSON in the environment."""

import json
import os

from chat.settings import *  # noqa: F403  (a settings module that varies another one)

CHANNEL_LAYERS = {"default": json.loads(os.environ["TEST_CHANNEL_LAYER"])}
