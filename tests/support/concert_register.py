"""A French register at its end of a serial cable: Concert E+, written apart from the terminal's.

Blocking, on a file descriptor; a test runs it in a thread of its own.
"""

import os
import select
from functools import reduce


class Register:
    """``fd``: the cable; ``wait_s``: how long it waits for any answer."""

    def __init__(self, fd: int, wait_s: float = 20.0) -> None:
        self.fd = fd
        self.wait_s = wait_s

    def byte(self) -> int:
        """The next byte; -1 when none comes in time."""
        if not select.select([self.fd], [], [], self.wait_s)[0]:
            return -1
        return os.read(self.fd, 1)[0]

    def expect(self, wanted: int) -> None:
        got = self.byte()
        assert got == wanted, f"{got:#x} instead of {wanted:#x}"

    def pay(
        self,
        cents: int,
        mode: str = "1",
        kind: str = "0",
        flag: str = "0",
        currency: str = "978",
        delay: str = "A010",
    ) -> str:
        """One payment; the answer's characters."""
        text = f"01{cents:08d}{flag}{mode}{kind}{currency}TICKET0001{delay}B010"
        self.send(text)
        return self.answer(flag == "1")

    def send(self, text: str) -> None:
        os.write(self.fd, b"\x05")
        self.expect(0x06)
        body = text.encode() + b"\x03"
        os.write(self.fd, b"\x02" + body + bytes([reduce(lambda a, b: a ^ b, body)]))
        self.expect(0x06)
        os.write(self.fd, b"\x04")

    def answer(self, with_card: bool = False) -> str:
        self.expect(0x05)
        os.write(self.fd, b"\x06")
        size = 28 + (55 if with_card else 0)
        frame = bytes([self.byte() for _ in range(size)])
        assert frame[0] == 2 and frame[-2] == 3, frame
        assert reduce(lambda a, b: a ^ b, frame[1:]) == 0
        os.write(self.fd, b"\x06")
        self.expect(0x04)
        return frame[1:-2].decode()
