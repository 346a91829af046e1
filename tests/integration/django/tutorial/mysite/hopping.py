"""The same site with the patch of Channels' dispatch turned off."""

from mysite.settings import *  # noqa: F403  (a settings module that varies another one)

REALTIME_GATEWAY = {"SKIP_DATABASE_HOP": False}
