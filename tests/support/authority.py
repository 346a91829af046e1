"""An authority that issues certificates as Secrets hold them: directories with ca.crt, tls.crt and tls.key."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.replaced_file import put

HOUR = timedelta(hours=1)
VALID = (-HOUR, 24 * HOUR)
EXPIRED = (-48 * HOUR, -HOUR)
TOO_EARLY = (HOUR, 24 * HOUR)
SIGNS = {"key_cert_sign": True, "crl_sign": True}
SPEAKS = {"digital_signature": True}


class Authority:
    """A key that signs, made anew."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name(name)
        self._certificate = (
            _begun(self._name, self._name, self._key.public_key(), VALID)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(**SIGNS), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> bytes:
        """Its own, as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, directory: Path, *names: str, valid: tuple[timedelta, timedelta] = VALID, trusts: Authority | None = None
    ) -> Path:
        """Write a certificate for names and addresses, its key and whom it trusts (by default this) to a directory.

        What is there is replaced file by file, as by a rename.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = (
            _begun(_common_name(names[0]), self._name, key.public_key(), valid)
            .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(issuer, critical=False)
            .add_extension(_usage(**SPEAKS), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        directory.mkdir(parents=True, exist_ok=True)
        pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for name, content in {
            "ca.crt": (trusts or self).certificate,
            "tls.crt": made.public_bytes(serialization.Encoding.PEM),
            "tls.key": key.private_bytes(*pem),
        }.items():
            put(directory / name, content)
        return directory


def server_context(directory: Path) -> ssl.SSLContext:
    """A server with the certificate of a directory, which asks its clients for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    return context


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: tuple[timedelta, timedelta]
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + valid[0])
        .not_valid_after(now + valid[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _alternatives(names: Sequence[str]) -> list[Any]:
    return [x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]


def _usage(**uses: bool) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: uses.get(name, False) for name in every})
