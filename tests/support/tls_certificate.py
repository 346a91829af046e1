"""A certificate for 127.0.0.1, and clients that trust its authority."""

from __future__ import annotations

import ssl
from pathlib import Path

from tests.support.authority import Authority


class TlsCertificate:
    """A key and its certificate in one directory, made anew."""

    def __init__(self, directory: Path) -> None:
        Authority().issue(directory, "127.0.0.1")
        self.key_path = directory / "tls.key"
        self.certificate_path = directory / "tls.crt"
        self._authority_path = directory / "ca.crt"

    def endpoint(self, port: int) -> str:
        """Return a description of Twisted's for TLS on this port."""
        return f"ssl:{port}:privateKey={self.key_path}:certKey={self.certificate_path}:interface=127.0.0.1"

    def trust(self) -> ssl.SSLContext:
        """Return a client's context that trusts it."""
        return ssl.create_default_context(cafile=str(self._authority_path))
