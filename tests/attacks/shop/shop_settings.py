"""A site with every auth stack, for attackers."""

import os
from datetime import timedelta

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "only-for-tests-" + "x" * 40)
SECRET_KEY_FALLBACKS = [key for key in os.environ.get("SHOP_SECRET_KEY_FALLBACKS", "").split(",") if key]
USE_TZ = True
ALLOWED_HOSTS = ["shop.test", ".sibling.test", "127.0.0.1"]
INSTALLED_APPS = [
    "realtime_gateway",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "rest_framework_simplejwt.token_blacklist",
    "knox",
    "allauth",
    "allauth.account",
    "allauth.headless",
    "dj_rest_auth",
]
ROOT_URLCONF = "shop"
ASGI_APPLICATION = "asgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", ":memory:"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_ENGINE = os.environ.get("SHOP_SESSION_ENGINE", "django.contrib.sessions.backends.db")
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ACCOUNT_EMAIL_VERIFICATION = "none"
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["dj_rest_auth.jwt_auth.JWTCookieAuthentication"]}
REST_AUTH = {"USE_JWT": True, "JWT_AUTH_COOKIE": "jwt-auth", "JWT_AUTH_REFRESH_COOKIE": "jwt-refresh"}
SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(minutes=5)}
if os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {"default": {"BACKEND": "realtime_gateway.layer.RedisChannelLayer"}}
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
REALTIME_GATEWAY = {
    "JWT": {"KEY": os.environ.get("SHOP_JWT_KEY", "j" * 32), "ISSUER": "shop", "AUDIENCE": "chat", "LEEWAY_SECONDS": 0},
    "REVALIDATION_PERIOD_SECONDS": float(os.environ.get("SHOP_REVALIDATION_SECONDS", "300")),
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
