"""A certificate for 127.0.0.1 that signs itself, and clients that trust it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class TlsCertificate:
    """A key and its certificate in one directory, made anew."""

    def __init__(self, directory: Path) -> None:
        self.key_path = directory / "tls.key"
        self.certificate_path = directory / "tls.crt"
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def endpoint(self, port: int) -> str:
        """Return a description of Twisted's for TLS on this port."""
        return f"ssl:{port}:privateKey={self.key_path}:certKey={self.certificate_path}:interface=127.0.0.1"

    def trust(self) -> ssl.SSLContext:
        """Return a client's context that trusts it."""
        return ssl.create_default_context(cafile=str(self.certificate_path))
