"""The certificate of the nexo port: its common name is of the form that the clients want.

Clients with a CA file take a server whose common name is ``WORD-WORD.test.terminal.adyen.com``,
whatever its address is. The root signs this one certificate; its key is thrown away.
"""

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from host_tools import whole_file

DOMAIN = "test.terminal.adyen.com"
VALID_DAYS = 3650
#: The server's key and chain (owner only), and the root for the registers.
SERVER_FILE, ROOT_FILE = "nexo.pem", "nexo-root.pem"


def common_name(serial: str) -> str:
    """``OpenTill-SERIAL.test.terminal.adyen.com``."""
    return f"OpenTill-{re.sub('[^a-zA-Z0-9]', '', serial) or '1'}.{DOMAIN}"


def make(folder: Path, serial: str, names: list[str]) -> str:
    """Write SERVER_FILE and ROOT_FILE for a server that is also reached under ``names``; its
    common name. OSError."""
    name = common_name(serial)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("OpenTill register root")
    root = _certificate(issuer, issuer, root_key.public_key(), None).sign(root_key, hashes.SHA256())
    alternatives = x509.SubjectAlternativeName([_alternative(one) for one in (name, *names)])
    leaf = _certificate(_name(name), issuer, key.public_key(), alternatives).sign(
        root_key, hashes.SHA256()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    chain = [one.public_bytes(serialization.Encoding.PEM) for one in (leaf, root)]
    whole_file.write(folder / SERVER_FILE, pem + b"".join(chain), private=True)
    (folder / ROOT_FILE).write_bytes(chain[1])
    return name


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    alternatives: x509.SubjectAlternativeName | None,
) -> x509.CertificateBuilder:
    """A server's certificate, or without ``alternatives`` the root's."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
    )
    if alternatives is None:
        return builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(alternatives, critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
