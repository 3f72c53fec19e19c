"""The working keys of a UnionPay sign-in answer, field 62 (rules of money, 14).

Forms by length: 24 bytes = PIN key 8 | check value 4 | MAC key 8 | check value 4;
40 = PIN key 16 | 4 | MAC key 16 | 4; 60 = the same and track key 16 | 4. A check
value is the first 4 bytes of one enciphered block of zeros. In the long forms a
MAC key whose last 8 *transmitted* bytes are zero is single length, and its check
value is single DES.

House rule, where the interface is silent: under an AES master key the 40- and
60-byte forms carry AES-128 keys, each one block, check values likewise.
"""

from firmware.crypto import CryptoError, backend, kcv, wipe
from firmware.crypto.hashes import same

_NAMES = ("pin", "mac", "track")
_CHECK = 4


def unwrap(
    algorithm: str, master: "bytes | bytearray", field62: bytes
) -> "list[tuple[str, str, bytearray]]":
    """(slot, algorithm, key) for each key in the block, all checked.

    CryptoError for another length or a check value that does not match; then
    every key already deciphered is wiped.
    """
    forms = {24: (8, 2), 40: (16, 2), 60: (16, 3)}
    if len(field62) not in forms:
        raise CryptoError("working keys of " + str(len(field62)) + " bytes: not 24, 40 or 60")
    size, count = forms[len(field62)]
    aes = algorithm[:3] == "aes"
    if aes and size == 8:
        raise CryptoError("working keys of 24 bytes under an AES master key")
    cipher = backend.cipher(algorithm, master)
    keys: "list[tuple[str, str, bytearray]]" = []
    for i in range(count):
        at = i * (size + _CHECK)
        sent = field62[at : at + size]
        check = field62[at + size : at + size + _CHECK]
        name = _NAMES[i]
        if aes:
            kind = "aes128"
        elif size == 8:
            kind = "des"
        elif name == "mac" and sent[8:] == bytes(8):
            kind = "des"
            sent = sent[:8]
        else:
            kind = "tdes2"
        key = bytearray(cipher.decrypt(sent))
        keys.append((name, kind, key))
        if not same(kcv.zeros(kind, key, _CHECK), check):
            for _, _, made in keys:
                wipe(made)
            raise CryptoError("check value of the " + name + " key does not match")
    return keys
