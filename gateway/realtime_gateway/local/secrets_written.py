"""The secrets of a run as files that only this user can read; processes follow them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.local.plan import Plan
from realtime_gateway.local.state_directory import StateDirectory
from realtime_gateway.resource.secret_files import redis_password
from realtime_gateway.secret_file import text_of

Contents = Mapping[str, bytes]


class WrittenSecrets:
    """What stands in a run's directory of secrets.

    Args:
        directory: of the run.
        path: of the secrets, within it.

    Attributes:
        contents: by file; what was written last.
    """

    def __init__(self, directory: StateDirectory, path: Path) -> None:
        self._directory = directory
        self._path = path
        self.contents: Contents = {}

    def write(self, contents: Contents) -> bool:
        """Write what is not there as it is, and say whether there was anything of that."""
        changed = {file: content for file, content in contents.items() if self.contents.get(file) != content}
        for file, content in changed.items():
            self._directory.write(self._path / file, content)
        self.contents = {**self.contents, **contents}
        return bool(changed)

    def keep(self, contents: Contents) -> None:
        """Remove what is none of these any more."""
        for file in set(self.contents) - set(contents):
            (self._path / file).unlink(missing_ok=True)
        self.contents = contents


def shard_urls(plan: Plan, contents: Contents) -> tuple[str, ...]:
    """Return where the heartbeats of channel layers can be read, with the passwords of external shards."""
    external = plan.external_urls
    if not external:
        return plan.shard_urls
    return tuple(with_password(url, contents.get(redis_password(shard))) for shard, url in external.items())


def with_password(url: str, password: bytes | None, username: str = "") -> str:
    """Put a password into a URL that has none, and a user where it names none.

    Raises:
        ConfigurationError: the password is no text.
    """
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    if password is None or ":" in user:
        return url
    try:
        text = text_of(password)
    except ConfigurationError as error:
        raise ConfigurationError(f"The password of {place} cannot be used: {error.message}") from error
    account = f"{user or quote(username, safe='')}:{quote(text, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{account}@{place}"))
