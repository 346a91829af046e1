"""What the test case tells the process that it starts: where to import from, the settings, the databases."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass, field
from typing import IO, Any

from realtime_gateway.errors import ConfigurationError


@dataclass(frozen=True)
class Errand:
    """Everything that a fresh interpreter needs to serve what the tests have set up.

    Attributes:
        settings_module: the project's settings.
        overrides: settings that the tests have overridden.
        database_names: alias → name of the test database.
        application: dotted path of the ASGI application; "" is ASGI_APPLICATION.
        host: the interface to listen on.
        port: 0 for any free port.
        serve_static: serve static files as ``runserver`` does.
        ready_fd: where to write the port once it listens.
        import_path: the tests' ``sys.path``.
    """

    settings_module: str
    overrides: dict[str, Any]
    database_names: dict[str, str]
    application: str
    host: str
    port: int
    serve_static: bool
    ready_fd: int
    import_path: list[str] = field(default_factory=lambda: list(sys.path))


def write_errand(errand: Errand, stream: IO[bytes]) -> None:
    """Send it.

    Raises:
        ConfigurationError: an overridden setting cannot be sent to another process.
    """
    for name, value in errand.overrides.items():
        try:
            pickle.dumps(value)
        except Exception as error:
            raise ConfigurationError(
                f"The overridden setting {name} cannot be sent to the live server's process: {error}.",
                "Override it in the settings module of the tests instead.",
            ) from error
    # The path first: what the rest names may be importable only with it.
    pickle.dump(errand.import_path, stream)
    pickle.dump(errand, stream)
    stream.flush()


def read_errand(stream: IO[bytes]) -> Errand:
    """Receive it, with the tests' import path in place from here on."""
    # Written by our own parent over a pipe, never by anybody else.
    sys.path[:] = pickle.load(stream)  # noqa: S301  # see above
    errand: Errand = pickle.load(stream)  # noqa: S301  # see above
    return errand
