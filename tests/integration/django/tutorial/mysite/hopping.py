"""The same site with the patches of Channels turned off."""

from mysite.settings import *  # noqa: F403  (a settings module that varies another one)

REALTIME_GATEWAY = {"SKIP_DATABASE_HOP": False, "DIRECT_DISPATCH": False, "SKIP_SESSION_LOOK": False}
