"""Ciphers by backend, check values, MACs, PIN blocks, key blocks. No I/O, no state.

Errors are CryptoError and its children: bad length, bad value, does not verify.
"""

from firmware.errors import TillError


class CryptoError(TillError):
    """Input of a cryptographic operation is malformed or does not verify."""

    text_key = "error.crypto"


def wipe(buffer: bytearray) -> None:
    """Overwrite a secret. What the language copied elsewhere is out of reach
    (docs/threat-model.md)."""
    for i in range(len(buffer)):
        buffer[i] = 0
