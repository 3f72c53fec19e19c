"""Who this terminal is: ``bundle.cbor`` and ``factory.cbor`` (docs/provisioning.md).

At boot: ``factory_install`` (once in the terminal's life), ``load``, ``install``.
"""

import sys

from firmware import cbor
from firmware.crypto import kcv
from firmware.errors import TillError
from firmware.hal.files import NoSuchFile
from firmware.hal.vault import KeyRefused, VaultTampered
from firmware.services.fields import FieldError, Fields
from firmware.services.provision import Provision, ProvisioningError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.hal.files import Files
    from firmware.hal.vault import Vault

BUNDLE = "bundle.cbor"
FACTORY = "factory.cbor"
#: Larger files are refused unread.
MOST = 1 << 20
SIGNED = b"OpenTill bundle 1\x00"


class NotProvisioned(TillError):
    """There is no bundle, or no transport key to read one with."""

    text_key = "error.not_provisioned"


async def load(files: "Files", trust: "dict[str, Any]", serial: str) -> Provision:
    """Read and verify the bundle for the device ``serial``.

    ``trust`` is the board's trust section: ``provisioning_key`` (Ed25519, 32
    bytes or their hex) and ``test`` (bool: published test keys may be used).
    Raises NotProvisioned without a bundle, ProvisioningError for one that is
    not good, FilesError.
    """
    data = await _read(files, BUNDLE)
    if data is None:
        raise NotProvisioned("no " + BUNDLE)
    return check(data, trust, serial)


def check(data: bytes, trust: "dict[str, Any]", serial: str) -> Provision:
    """The bundle in ``data``, verified. ProvisioningError."""
    outer = _decode(data, BUNDLE)
    if (
        not isinstance(outer, list)
        or len(outer) != 2
        or not isinstance(outer[0], bytes)
        or not isinstance(outer[1], bytes)
    ):
        raise ProvisioningError(BUNDLE + ": not [payload, signature]")
    if not _signed(outer[0], outer[1], trust):
        raise ProvisioningError(BUNDLE + ": the signature does not verify")
    provision = parse(_decode(outer[0], BUNDLE + " payload"))
    if provision.test and trust.get("test") is not True:
        raise ProvisioningError("bundle.2 test: this board takes no test bundle")
    if provision.serial != serial:
        raise ProvisioningError("bundle.3 device serial: for another device")
    return provision


def _signed(payload: bytes, signature: bytes, trust: "dict[str, Any]") -> bool:
    from firmware.crypto import ed25519  # once in a boot

    good = ed25519.verify(_public_key(trust), SIGNED + payload, signature)
    if sys.implementation.name != "cpython":
        # Signatures and SHA-512 are not needed again: 12 KiB of a microcontroller's heap.
        for name in ("ed25519", "sha"):
            if sys.modules.pop("firmware.crypto." + name, None) is not None:
                delattr(sys.modules["firmware.crypto"], name)
    return good


async def install(vault: "Vault", provision: Provision) -> None:
    """Put TMK and TLS passphrase into the vault; nothing is written if they are there.

    Raises NotProvisioned without a transport key, ProvisioningError when the
    keys do not unwrap under it, VaultError.
    """
    transport = (await vault.status()).get("transport")
    if transport is None:
        raise NotProvisioned("no transport key: " + FACTORY + " was never installed")
    if transport.test != provision.test:
        raise ProvisioningError("bundle.2 test: not as the vault's transport key")
    try:
        await vault.install_tmk(provision.tmk_block)
    except KeyRefused as error:
        raise ProvisioningError("bundle.8 TMK: " + error.detail) from None
    try:
        await vault.install_tls_passphrase(provision.client.sealed_passphrase)
    except KeyRefused as error:
        raise ProvisioningError("bundle.7 client, 3 passphrase: " + error.detail) from None


async def factory_install(files: "Files", vault: "Vault", serial: str) -> bool:
    """Take the transport key from ``factory.cbor``, if it is there; then overwrite
    and remove the file. True when a key was installed.

    A vault that erased itself starts a new life with the key. Resumes where a
    power cut stopped it. Raises ProvisioningError for a file that is not good
    (it stays), VaultError, FilesError.
    """
    data = await _read(files, FACTORY)
    if data is None:
        return False
    if data and data == bytes(len(data)):  # overwritten, and then the supply failed
        await _remove(files)
        return False
    try:
        f = Fields(_decode(data, FACTORY), "factory")
        f.number(1, "version", 1, 1)
        found = f.ans(2, "device serial", 0, 1, 20)
        key = f.octets(3, "transport key", 32, 32)
        test = f.flag(4, "test")
        f.end()
    except FieldError as error:
        raise ProvisioningError(error.detail) from None
    if found != serial:
        raise ProvisioningError("factory.2 device serial: for another device")
    installed = await _install_transport(vault, key, test)
    await files.replace(FACTORY, bytes(len(data)))
    await _remove(files)
    return installed


async def _install_transport(vault: "Vault", key: bytes, test: bool) -> bool:
    try:
        held = (await vault.status()).get("transport")
    except VaultTampered:
        held = None
    if held is not None:
        if held.kcv != kcv.shown("aes256", key) or held.test != test:
            raise ProvisioningError("factory.3 transport key: another one is installed")
        return False  # the cut came between installing and removing
    await vault.install_transport(key, test)
    return True


async def _remove(files: "Files") -> None:
    await files.remove(FACTORY)
    await files.sync_folder()


async def _read(files: "Files", name: str) -> "bytes | None":
    try:
        data = await files.read(name, 0, MOST + 1)
    except NoSuchFile:
        return None
    if len(data) > MOST:
        raise ProvisioningError(name + ": larger than 1 MiB")
    return data


def _decode(data: bytes, what: str) -> object:
    try:
        return cbor.decode(data, max_size=MOST)
    except cbor.CborError as error:
        raise ProvisioningError(what + ": " + error.detail) from None


def _public_key(trust: "dict[str, Any]") -> bytes:
    value = trust.get("provisioning_key")
    if isinstance(value, str):
        try:
            value = bytes.fromhex(value)
        except ValueError:
            raise ProvisioningError("board trust.provisioning_key: not hexadecimal") from None
    if not isinstance(value, bytes) or len(value) != 32:
        raise ProvisioningError("board trust.provisioning_key: not 32 bytes")
    return value
