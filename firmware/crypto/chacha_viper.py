"""ChaCha20's block as machine code, which MicroPython's viper emitter makes.

For MicroPython alone, on processors with the low byte first: ``chacha_poly``
imports it and does without where the port has no emitter. Some ten times as
fast there as plain Python and without garbage for the heap. Words are kept
below 2**32 by a mask, since viper's integers have 64 bits on 64-bit processors.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Function = TypeVar("Function", bound=Callable[..., object])

    class micropython:
        """Its decorator, which changes no type."""

        @staticmethod
        def viper(function: Function) -> Function:
            """Compile to machine code."""
            return function

    # A buffer without bounds, as bytes or as words of 32 bits.
    ptr8 = bytes
    ptr32 = bytearray
    uint = int
else:
    import micropython

#: The words of each quarter round: four columns, four diagonals (RFC 8439, 2.3).
_ORDER = bytes(
    (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
    + (0, 5, 10, 15, 1, 6, 11, 12, 2, 7, 8, 13, 3, 4, 9, 14)
)


def key_stream(state: bytearray, blocks: int) -> bytearray:
    """``blocks`` blocks of 64 bytes from a ``state`` of 64, whose counter moves on."""
    stream = bytearray(64 * blocks)
    for i in range(blocks):
        _block(state, stream, 16 * i, _ORDER)
    return stream


@micropython.viper
def _block(state: ptr32, stream: ptr32, at: int, order: ptr8) -> object:
    mask = (uint(0xFFFF) << 16) | 0xFFFF
    for i in range(16):
        stream[at + i] = state[i]
    for _ in range(10):
        step = 0
        while step < 32:
            ia = at + order[step]
            ib = at + order[step + 1]
            ic = at + order[step + 2]
            id = at + order[step + 3]
            step += 4
            a = uint(stream[ia])
            b = uint(stream[ib])
            c = uint(stream[ic])
            d = uint(stream[id])
            a = (a + b) & mask
            d ^= a
            d = (d << 16 | d >> 16) & mask
            c = (c + d) & mask
            b ^= c
            b = (b << 12 | b >> 20) & mask
            a = (a + b) & mask
            d ^= a
            d = (d << 8 | d >> 24) & mask
            c = (c + d) & mask
            b ^= c
            b = (b << 7 | b >> 25) & mask
            stream[ia] = a
            stream[ib] = b
            stream[ic] = c
            stream[id] = d
    for i in range(16):
        stream[at + i] = stream[at + i] + state[i]
    state[12] = state[12] + 1
    return None
