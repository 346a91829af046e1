"""The same site with realtime_gateway in the place of daphne."""

from mysite.settings import *  # noqa: F403  (a settings module that varies another one)
from mysite.settings import INSTALLED_APPS as TUTORIALS_APPS

INSTALLED_APPS = ["realtime_gateway" if app == "daphne" else app for app in TUTORIALS_APPS]
