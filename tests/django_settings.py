"""Settings of the tests that need Django inside the pytest process; whole projects run as processes of their own."""

SECRET_KEY = "only-for-tests-" + "x" * 40
USE_TZ = True
INSTALLED_APPS = [
    "realtime_gateway",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework.authtoken",
    "rest_framework_simplejwt.token_blacklist",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
