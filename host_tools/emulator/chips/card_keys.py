"""The symmetric half of a virtual card: keys of one card, cryptograms, script MACs.

EMV Book 2 annex A1 by pyemv; docs/deck.md says which options are used.
"""

from __future__ import annotations

import hmac
import warnings

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from pyemv import ac, kd, sm

# pyemv takes double-length keys as they are, which is what EMV cards hold;
# the library below it warns of that at every block.
warnings.filterwarnings("ignore", message="TripleDES has been moved")
warnings.filterwarnings("ignore", message="Two-key TripleDES")


class CardKeys:
    """ICC master keys derived by option A from issuer master keys."""

    def __init__(self, imk: dict[str, bytes], pan: str, csn: str) -> None:
        self._ac = kd.derive_icc_mk_a(imk["ac"], pan, csn)
        self._smi = kd.derive_icc_mk_a(imk["smi"], pan, csn)
        self._smc = kd.derive_icc_mk_a(imk["smc"], pan, csn)

    def _session(self, atc: int) -> bytes:
        return kd.derive_common_sk(self._ac, atc.to_bytes(2, "big") + bytes(6))

    def cryptogram(self, atc: int, data: bytes) -> bytes:
        """Application cryptogram over ``data`` (8 bytes)."""
        return ac.generate_ac(self._session(atc), data, ac.PaddingType.EMV, 8)

    def arpc_is_right(self, atc: int, arqc: bytes, answer: bytes) -> bool:
        """Whether ``answer`` is ARPC (method 1) followed by its two-byte ARC."""
        if len(answer) != 10:
            return False
        expected = ac.generate_arpc_1(self._session(atc), arqc, answer[8:])
        return hmac.compare_digest(expected, answer[:8])

    def script_mac_is_right(
        self, atc: int, arqc: bytes, count: int, header: bytes, data: bytes
    ) -> bool:
        """Whether the last 8 bytes of ``data`` are the MAC of script command ``count``."""
        if len(data) < 8:
            return False
        key = kd.derive_common_sk(self._smi, _counted(arqc, count))
        covered = header + atc.to_bytes(2, "big") + _counted(arqc, count) + data[:-8]
        return hmac.compare_digest(sm.generate_command_mac(key, covered, 8), data[-8:])

    def script_plain(self, arqc: bytes, count: int, enciphered: bytes) -> bytes:
        """Decipher script data (multiple of 8 bytes, 3DES-CBC, zero IV)."""
        key = kd.derive_common_sk(self._smc, _counted(arqc, count))
        # Two keys written as three: the library warns at 16-byte keys.
        decryptor = Cipher(TripleDES(key + key[:8]), modes.CBC(bytes(8))).decryptor()
        return decryptor.update(enciphered) + decryptor.finalize()


def _counted(arqc: bytes, count: int) -> bytes:
    return ((int.from_bytes(arqc, "big") + count) % 2**64).to_bytes(8, "big")
