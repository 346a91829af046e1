"""Settings of the tutorial's chat; the contender comes from the environment."""

import os

SECRET_KEY = "no secret: this site runs on a loopback address for seconds"  # see its own text
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    os.environ["BENCHMARK_SERVER_APP"],
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ROOT_URLCONF = "tests.benchmarks.tutorial.urls"
ASGI_APPLICATION = "tests.benchmarks.tutorial.asgi.application"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": os.environ["BENCHMARK_LAYER"],
        "CONFIG": {"hosts": [("127.0.0.1", int(os.environ["BENCHMARK_REDIS_PORT"]))]},
    }
}
USE_TZ = True
