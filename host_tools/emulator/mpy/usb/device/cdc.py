"""Module ``usb.device.cdc`` of micropython-lib (usb-device-cdc): a serial port for a PC.

Its cable is the rack's serial line; unplugged means that the PC is gone.
"""

from host_tools.emulator.mpy import mcu


class CDCInterface:
    """As ``machine.UART``, with ``is_open``."""

    def __init__(self, timeout: int = 1000, txbuf: int = 256, rxbuf: int = 256) -> None:
        if not txbuf or rxbuf < 64:
            raise ValueError
        self._room = rxbuf

    def is_open(self) -> bool:
        """Whether a PC has configured the port."""
        try:
            mcu.transfer("usb", 1, b"")
        except OSError:
            return False
        return True

    def write(self, data: bytes) -> int:
        """How many bytes there was room for."""
        return int.from_bytes(mcu.transfer("usb", 1, bytes(data)), "big")

    def read(self, count: int) -> "bytes | None":
        """At most ``count`` bytes, None for none."""
        most = min(count, self._room)
        return mcu.transfer("usb", 2, most.to_bytes(2, "big")) or None
