"""VERIFY to the card with a PIN, plaintext or enciphered (EMV 4.4 Book 3, 6.5.12)."""

from firmware.crypto import CryptoError, rsa, wipe
from firmware.crypto.pin_block import clear_2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.card_reader import CardChannel
    from firmware.hal.entropy import Entropy

_GET_CHALLENGE = b"\x00\x84\x00\x00\x00"
#: No VERIFY was sent.
NOT_SENT = 0
# Header 7F, PIN block, challenge: what enciphered PIN data holds besides padding.
_FIXED = 17
# Shorter moduli are no key of a card and would leave no room for padding.
_LEAST_MODULUS = 64


async def verify_plaintext(channel: "CardChannel", digits: bytearray) -> int:
    """Status word of VERIFY with the format 2 block. CardError passes through."""
    block = clear_2(digits)
    try:
        return await _verify(channel, 0x80, block)
    finally:
        wipe(block)


async def verify_enciphered(
    channel: "CardChannel",
    digits: bytearray,
    modulus: bytes,
    exponent: int,
    entropy: "Entropy",
) -> int:
    """Status word of VERIFY with data enciphered for the card (Book 2, 7.2):
    7F | PIN block | challenge of the card | random padding.

    NOT_SENT when GET CHALLENGE fails or the card's key cannot encipher.
    CardError and EntropyError pass through.
    """
    if len(modulus) < _LEAST_MODULUS:
        return NOT_SENT
    challenge, sw, _ = await channel.transmit(_GET_CHALLENGE)
    if sw != 0x9000 or len(challenge) != 8:
        return NOT_SENT
    padding = entropy.random(len(modulus) - _FIXED)
    block = clear_2(digits)
    data = bytearray(b"\x7f") + block + challenge + padding
    try:
        enciphered = rsa.encipher(data, modulus, exponent)
    except CryptoError:  # a certified key that is none: the method cannot be performed
        return NOT_SENT
    finally:
        wipe(block)
        wipe(data)
    return await _verify(channel, 0x88, bytearray(enciphered))


async def _verify(channel: "CardChannel", qualifier: int, data: bytearray) -> int:
    command = bytearray([0x00, 0x20, 0x00, qualifier, len(data)]) + data
    try:
        _, sw, _ = await channel.transmit(bytes(command))
        return sw
    finally:
        wipe(command)
