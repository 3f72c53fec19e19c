"""RSA public operation on bytes (EMV 4.4 Book 2, B2.1)."""

from firmware.crypto import CryptoError

#: EMV 4.4 Book 2, B2.1: moduli of at most 1984 bits.
MOST = 248


def recover(data: "bytes | bytearray", modulus: bytes, exponent: int) -> bytes:
    """``data ** exponent mod modulus``, as long as the modulus.

    CryptoError unless ``data`` is as long as the modulus and smaller than it,
    the modulus is odd, of 1 to 248 bytes without a leading zero byte, and the
    exponent is 3 or 65537 (the two that Book 2, B2.1 allows).
    """
    size = len(modulus)
    if not 1 <= size <= MOST or modulus[0] == 0 or not modulus[-1] & 1:
        raise CryptoError("not an RSA modulus of EMV")
    if exponent not in (3, 65537):
        raise CryptoError("exponent is neither 3 nor 65537")
    if len(data) != size:
        raise CryptoError(str(len(data)) + " bytes for a modulus of " + str(size))
    number = int.from_bytes(data, "big")
    n = int.from_bytes(modulus, "big")
    if number >= n:
        raise CryptoError("not smaller than the modulus")
    return pow(number, exponent, n).to_bytes(size, "big")


#: The same operation by its other name: enciphering to a public key.
encipher = recover
