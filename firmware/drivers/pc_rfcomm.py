"""PC pipe: a channel of Bluetooth's serial port profile, RFCOMM (Linux).

Bluetooth's own pairing is the system's (``bluetoothctl``); who may do what is the link's.
"""

import socket

from firmware.drivers.pc_tcp import PcSocket


class PcRfcomm(PcSocket):
    """``channel``: 1 to 30, of the board's first Bluetooth adapter."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self._channel = channel

    def _listen(self) -> socket.socket:
        if not hasattr(socket, "AF_BLUETOOTH"):
            raise OSError("this Python was built without Bluetooth")
        server = socket.socket(socket.AF_BLUETOOTH, socket.SOCK_STREAM, socket.BTPROTO_RFCOMM)
        try:
            server.bind((socket.BDADDR_ANY, self._channel))
            server.listen(1)
        except OSError:
            server.close()
            raise
        return server
