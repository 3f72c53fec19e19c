"""The wire: one lock-step protocol to chips that are software.

A Wire carries transfers on named buses. In-process, the emulator's rack is
itself a Wire; across processes ``StreamWire`` speaks the same transfers over
a byte stream (docs/emulator.md has the frame). Nothing above the buses knows
the difference between a wire and real pins.

Bus operations, all payloads in bytes:

=========  ====  ==========================================  =========================
kind       op    payload                                     answer
=========  ====  ==========================================  =========================
display    1     command bytes                               empty
display    2     data bytes                                  empty
display    3     any number of: command count (1), commands, empty
                 data count (2), data; sent in order
i2c        1     address, count to read, bytes to write      bytes read (error: no ACK)
i2c        2     the same with a count of 2 bytes            the same
spi        1     bytes to send under one select              as many bytes that came in
serial     1     bytes to send                               bytes accepted (2, big endian)
serial     2     most to read (2)                            bytes received so far
serial     3     baud rate (4)                               empty
pins       1     pin, level                                  empty
pins       2     pin                                         level
pins       3     pin, mode (0 in, 1 in pull-up, 2 out)       empty
pins       4     pin, frequency in Hz (2), duty percent      empty
pins       5     any number of: op 1, 2 or 3, pin, level or  levels of the reads
                 mode (0 for a read); done in order
card       1     empty                                       1 if a card is in, else 0
card       2     empty                                       ATR (error: mute)
card       3     T=0 or T=1 command as an APDU or TPDU       response with SW1 SW2
card       4     empty                                       empty
net        1     empty                                       up (0/1), bars
net        2     port (2), host name                         connection id
net        3     id, bytes                                   bytes accepted (2)
net        4     id, most to read (2)                        state (0 connecting, 1 open,
                                                             2 closed, 3 refused, 4 name
                                                             unknown), bytes
net        5     id                                          empty
trng       1     count                                       genuine flag, random bytes
input      1     empty                                       key events so far, 4 bytes each:
                                                             source, code (2), value (0 up,
                                                             1 down, 2 repeat, 254 device
                                                             gone, 255 device came)
wlan       1     on (0/1), or empty to ask                   on
wlan       2     empty                                       access points (chips/wlan_radio.py)
wlan       3     WPA3 only (0/1), length of the name, name,  empty
                 key
wlan       4     empty                                       empty
wlan       5     empty                                       state, dBm + 128, address (4)
debug      1     screen tree, redacted, as JSON              empty
debug      2     the kernel's trace, JSON lines              empty
debug      3     what several links do, as JSON              empty
=========  ====  ==========================================  =========================

One more kind, "mcu", is what a microcontroller has inside: no bus here uses it, only
the emulator's stand-in for ``machine`` does.
"""

from firmware.errors import TillError


class BusError(TillError):
    """A transfer failed: no such bus, no acknowledge, broken wire."""

    text_key = "error.bus"


class Wire:
    """Synchronous transfers; a software chip answers at once and says how long
    the real one would have been busy."""

    def transfer(self, bus: str, op: int, payload: bytes) -> "tuple[bytes, int]":
        """Returns (answer, busy_us). Raises BusError."""
        raise NotImplementedError
