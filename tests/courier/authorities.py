"""Certificates of the tests' own making."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """A certificate authority and what it issues."""

    directory: Path
    name: str

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.cert = self._build(self.name, self.key.public_key(), days=(-30, 30)).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        ).add_extension(usage, critical=True).sign(self.key, hashes.SHA256())  # fmt: skip
        self.path = self._write(f"{self.name}.crt", self.cert.public_bytes(Encoding.PEM))

    def issue(
        self, name: str, *alternatives: x509.GeneralName, days: tuple[int, int] = (-1, 30)
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._build(name, key.public_key(), days)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        cert = builder.sign(self.key, hashes.SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return (
            self._write(f"{self.name}-{name}.crt", cert.public_bytes(Encoding.PEM)),
            self._write(f"{self.name}-{name}.key", pem),
        )

    def _build(
        self, name: str, public: ec.EllipticCurvePublicKey, days: tuple[int, int]
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=days[0]))
            .not_valid_after(now + dt.timedelta(days=days[1]))
            .add_extension(identifier, False)
            .add_extension(issuer, False)
        )

    def _write(self, name: str, pem: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(pem)
        # mosquitto gives up root at once, and then reads its files as its own user.
        os.chmod(path, 0o644)  # noqa: PTH101 -- the test's own throw-away key
        return path


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
