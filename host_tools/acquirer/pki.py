"""The test PKI: one root, server certificates, a client certificate a terminal.

ECDSA P-256, which both interpreters handle in TLS 1.2 and 1.3; RSA-2048 is a
second profile for CPython (docs/portable.md). Certificates are valid from
2020 to 2049, so that neither a virtual clock nor the wall clock matters.
"""

import ipaddress
import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from host_tools.errors import UserError

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

PROFILES = ("ecdsa", "rsa")

NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2049, 12, 31, tzinfo=UTC)

#: Name in the test bank's server certificate, whatever its address is.
SERVER_NAME = "acquirer.opentill.test"


def new_private_key(profile: str = "ecdsa") -> Key:
    """A fresh key of the profile. ValueError."""
    if profile == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    if profile == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raise ValueError(f"profile {profile!r}; known: {', '.join(PROFILES)}")


def key_pem(key: Key, passphrase: str = "") -> bytes:
    """PKCS#8 PEM, encrypted (PBES2) when there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def key_der(key: Key) -> bytes:
    """PKCS#8 DER in the clear."""
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def der(certificate: x509.Certificate) -> bytes:
    """The certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "OpenTill test"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class Identity:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key


class Authority:
    """The root of the test PKI."""

    def __init__(self, certificate: x509.Certificate, key: Key) -> None:
        self.certificate = certificate
        self.key = key

    @classmethod
    def create(cls, profile: str = "ecdsa") -> "Authority":
        """A new root."""
        key = new_private_key(profile)
        name = _name("OpenTill test root")
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOT_BEFORE)
            .not_valid_after(NOT_AFTER)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    def _issue(
        self,
        key: Key,
        common_name: str,
        purpose: x509.ObjectIdentifier,
        names: tuple[str, ...],
        not_before: datetime,
        not_after: datetime,
    ) -> x509.Certificate:
        authority_key = self.certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value
        enciphers = isinstance(key, rsa.RSAPrivateKey)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False, enciphers=enciphers), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_key),
                critical=False,
            )
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue_server(
        self,
        names: tuple[str, ...] = (SERVER_NAME, "localhost", "127.0.0.1"),
        profile: str = "ecdsa",
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
    ) -> Identity:
        """A server certificate for these names and addresses."""
        key = new_private_key(profile)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH
        certificate = self._issue(key, names[0], purpose, names, not_before, not_after)
        return Identity(certificate, key)

    def issue_client(
        self,
        serial: str,
        profile: str = "ecdsa",
        not_before: datetime = NOT_BEFORE,
        not_after: datetime = NOT_AFTER,
    ) -> Identity:
        """A terminal's certificate; its common name is the device serial."""
        key = new_private_key(profile)
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH
        certificate = self._issue(key, serial, purpose, (), not_before, not_after)
        return Identity(certificate, key)

    def save(self, folder: Path) -> None:
        """Keep root and key in ``folder`` (``root.pem``, ``root.key``)."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        (folder / "root.pem").write_bytes(pem)
        path = folder / "root.key"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(key_pem(self.key))

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """The root kept in ``folder``. UserError when it cannot be read."""
        try:
            certificate = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes())
            key = serialization.load_pem_private_key((folder / "root.key").read_bytes(), None)
        except OSError as error:
            text = f"{error.filename}: the test root cannot be read: {error.strerror}"
            raise UserError(text) from error
        except ValueError as error:
            raise UserError(
                f"{folder}: root.pem or root.key is damaged; take another folder and enrol again"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise UserError(f"{folder / 'root.key'}: neither an EC nor an RSA key")
        return cls(certificate, key)


def server_context(authority: Authority, server: Identity) -> ssl.SSLContext:
    """TLS 1.2 or 1.3; a client without a certificate of this root is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=der(authority.certificate))
    # Session tickets stay on, as real hosts have them: they tell a TLS 1.3 client
    # at once that its certificate was taken.
    # ssl takes a key from a file only. The folder is private and short-lived.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        pem = server.certificate.public_bytes(serialization.Encoding.PEM)
        path.write_bytes(key_pem(server.key) + pem)
        context.load_cert_chain(path)
    return context
