"""T=0, one TPDU, without I/O (ISO/IEC 7816-3, 10; EMV 4.4 Book 1, 9.2.2).

The card leads by procedure bytes: INS takes or gives all remaining data, its
complement one byte, 60h asks for more time, 6x and 9x are the first status byte.
61xx and 6Cxx are status here; the card's channel acts on them.
"""

from firmware.buses.wire import BusError

_PROCEDURE, _DATA, _STATUS = 0, 1, 2


class T0Error(BusError):
    """The card does not keep to T=0."""


class T0Exchange:
    """Send ``send`` when it is not empty, then ``feed`` at most ``wants`` bytes, until ``done``."""

    def __init__(self, tpdu: bytes) -> None:
        """``tpdu``: CLA INS P1 P2 P3 and, to the card, P3 data bytes."""
        if len(tpdu) < 5 or (len(tpdu) > 5 and len(tpdu) != 5 + tpdu[4]):
            raise ValueError("not a TPDU: " + str(len(tpdu)) + " bytes")
        self.send = tpdu[:5]
        self.wants = 1
        self.done = False
        #: Data and both status bytes.
        self.response = b""
        self._ins = tpdu[1]
        self._out = tpdu[5:]
        self._in = (tpdu[4] or 256) if len(tpdu) == 5 else 0
        self._state = _PROCEDURE

    def feed(self, data: bytes) -> None:
        """What the card sent. T0Error."""
        self.send = b""
        for byte in data:
            if self.done or self.send:
                raise T0Error("T=0: the card speaks out of turn")
            self._take(byte)

    def _take(self, byte: int) -> None:
        if self._state == _DATA:
            self.response += bytes((byte,))
            self._in -= 1
            self.wants -= 1
            if not self.wants:
                self._state = _PROCEDURE
                self.wants = 1
        elif self._state == _STATUS:
            self.response += bytes((byte,))
            self.done = True
            self.wants = 0
        elif byte == 0x60:
            pass  # NULL: the waiting time begins anew
        elif byte & 0xF0 in (0x60, 0x90):
            self.response += bytes((byte,))
            self._state = _STATUS
        elif byte == self._ins:
            self._go(len(self._out) or self._in)
        elif byte == self._ins ^ 0xFF:
            self._go(1)
        else:
            raise T0Error("T=0: procedure byte " + hex(byte))

    def _go(self, count: int) -> None:
        if self._out:
            self.send = self._out[:count]
            self._out = self._out[count:]
        elif self._in:
            self._state = _DATA
            self.wants = count
        else:
            raise T0Error("T=0: the card asks for more than there is")
