"""What stands for a user where processes tell each other of users: text, the same in all of them."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError

from realtime_gateway.errors import ConfigurationError


def row_key(user: object) -> str | None:
    """Return the primary key as text, with the model's label before it if it is another than the site's user model.

    Keys of two models need not differ: device 7 is not user 7. Users that are no rows but have a ``pk``, as those of
    SimpleJWT's stateless tokens, stand for rows of the user model. None for who has no key.
    """
    key = getattr(user, "pk", None)
    if key is None:
        return None
    model = getattr(getattr(user, "_meta", None), "concrete_model", None)
    if model is None:
        return str(key)
    site_model = _user_model()
    if site_model is not None and (issubclass(model, site_model) or issubclass(site_model, model)):
        return str(key)  # a child of it shares its keys
    return f"{model._meta.label_lower} {key}"


def key_of(user: object) -> str:
    """Return the key of a user, or of a primary key in any form that its field reads, such as a UUID without hyphens.

    Raises:
        ConfigurationError: it is no primary key of the site's user model, such as a name where keys are numbers.
    """
    known = row_key(user)
    if known is not None:
        return known
    model = _user_model()
    if model is None:
        return str(user)
    try:
        key = model._meta.pk.to_python(user)
    except (ValidationError, ValueError, TypeError):
        key = None
    if key is None:
        raise ConfigurationError(
            f"{user!r} is no primary key of {model._meta.label}.", "Give the key of the user's row, not its name."
        )
    return str(key)


def _user_model() -> Any:
    from django.contrib.auth import get_user_model

    try:
        return get_user_model()
    except ImproperlyConfigured:  # a site without one
        return None
