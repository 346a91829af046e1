"""The example's settings as a project's tests have them: a test database in a file, fast passwords."""

import os

from chat.settings import *  # noqa: F403  (a settings module that varies another one)
from chat.settings import DATABASES

DATABASES["default"]["TEST"] = {"NAME": os.environ["TEST_DATABASE"]}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
