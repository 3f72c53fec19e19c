"""Module ``machine`` of the virtual microcontroller.

Constructors, methods and errors as MicroPython 1.25's documentation has them for
rp2 and esp32 ("machine — functions related to the hardware"); only what drivers use.
"""

from host_tools.emulator.mpy import mcu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PWRON_RESET, WDT_RESET = 1, 3
#: Pins that a chip has, and peripherals of a kind, by port.
_PINS = {"rp2": 30, "esp32": 49}
#: Line: (pin modulo, of), (added, shifted) that give the number of its block.
_FUNCTIONS = {
    "tx": ((0, 4), (4, 3)), "rx": ((1, 4), (4, 3)),
    "sda": ((0, 2), (0, 1)), "scl": ((1, 2), (0, 1)),
    "miso": ((0, 4), (0, 3)), "sck": ((2, 4), (0, 3)), "mosi": ((3, 4), (0, 3)),
}  # fmt: skip
_COUNTS = {"rp2": {"uart": 2, "i2c": 2, "spi": 2}, "esp32": {"uart": 3, "i2c": 2, "spi": 3}}


def reset_cause() -> int:
    """Why the chip started."""
    return mcu.transfer("mcu", 3, b"")[0]


def _peripheral(kind: str, number: int, **pins: "Pin") -> str:
    """Name of a peripheral. An RP2350's are on certain pins only, which rp2 checks as
    here; an ESP32-S3 leads any to any."""
    if not 0 <= number < _COUNTS[mcu.port()][kind]:
        raise ValueError(kind.upper() + "(" + str(number) + ") doesn't exist")
    if mcu.port() == "rp2":
        for name, pin in pins.items():
            low, shift = _FUNCTIONS[name]
            block = (pin.number + shift[0]) >> shift[1] & 1
            if pin.number % low[1] != low[0] or block != number:
                raise ValueError("bad " + name.upper() + " pin")
    return kind + str(number)


class Pin:
    """One pin; two objects of one number are the same pin."""

    IN, OUT = 0, 1
    PULL_UP, PULL_DOWN = 1, 2

    def __init__(
        self, number: int, mode: int = -1, pull: "int | None" = None, value: "int | None" = None
    ) -> None:
        if not 0 <= number < _PINS[mcu.port()]:
            raise ValueError("invalid pin")
        self.number = number
        if mode != -1:
            self.init(mode, pull, value)

    def init(self, mode: int, pull: "int | None" = None, value: "int | None" = None) -> None:
        """Direction, pull resistor, first level."""
        kind = 2 if mode == Pin.OUT else 1 if pull == Pin.PULL_UP else 0
        mcu.transfer("pins", 3, bytes((self.number, kind)))
        if value is not None and mode == Pin.OUT:
            self.value(value)

    def value(self, level: "int | None" = None) -> "int | None":
        """Read without argument, else drive."""
        if level is None:
            return mcu.transfer("pins", 2, bytes((self.number,)))[0]
        mcu.transfer("pins", 1, bytes((self.number, 1 if level else 0)))
        return None


class PWM:
    """A square wave on a pin, which it turns into an output."""

    def __init__(self, pin: Pin, freq: int = 0, duty_u16: int = 0) -> None:
        self._pin = pin
        mcu.transfer("pins", 3, bytes((pin.number, 2)))
        self.init(freq, duty_u16)

    def init(self, freq: int, duty_u16: int) -> None:
        """Frequency in Hz, share of 65535 that is high."""
        if not 8 <= freq <= 65535:  # the lowest of rp2, the highest of the wire
            raise ValueError("freq too small" if freq < 8 else "freq too large")
        self._wave(freq, (duty_u16 * 100 + 32767) // 65535)

    def deinit(self) -> None:
        """Stop."""
        self._wave(0, 0)

    def _wave(self, freq: int, percent: int) -> None:
        payload = bytes((self._pin.number,)) + freq.to_bytes(2, "big") + bytes((percent,))
        mcu.transfer("pins", 4, payload)


class I2C:
    """I2C controller. rp2 says EIO and esp32 ENODEV when nobody acknowledges."""

    def __init__(self, number: int, scl: Pin, sda: Pin, freq: int, timeout: int = 50000) -> None:
        self._name = _peripheral("i2c", number, scl=scl, sda=sda)
        self._error = mcu.EIO if mcu.port() == "rp2" else mcu.ENODEV
        self._written = b""

    def writeto(self, address: int, data: bytes, stop: bool = True) -> int:
        """Bytes that were acknowledged. Without stop a read follows."""
        if stop:
            mcu.transfer(self._name, 1, bytes((address, 0)) + bytes(data), self._error)
        else:
            # The wire has one transfer for both halves; it is refused as a whole there.
            self._written = bytes(data)
        return len(data)

    def readfrom(self, address: int, count: int) -> bytes:
        """``count`` bytes."""
        written, self._written = self._written, b""
        return self._read(address, count, written)

    def readfrom_mem(self, address: int, where: int, count: int, addrsize: int = 8) -> bytes:
        """Write ``where`` in so many bits, then read after a repeated start."""
        if addrsize & 7 or addrsize > 32:
            raise ValueError("invalid addrsize")
        return self._read(address, count, where.to_bytes(addrsize >> 3, "big"))

    def _read(self, address: int, count: int, written: bytes) -> bytes:
        op, width = (1, 1) if count < 256 else (2, 2)
        request = bytes((address,)) + count.to_bytes(width, "big") + written
        return mcu.transfer(self._name, op, request, self._error)


class SPI:
    """SPI controller, most significant bit first."""

    def __init__(
        self, number: int, baudrate: int, polarity: int, phase: int, sck: Pin, mosi: Pin, miso: Pin
    ) -> None:
        self._name = _peripheral("spi", number, sck=sck, mosi=mosi, miso=miso)

    def write_readinto(self, data: "Any", answer: "Any") -> None:
        """Both at once; both of one length."""
        if len(data) != len(answer):
            raise ValueError("buffers must be the same length")
        answer[:] = mcu.transfer(self._name, 1, bytes(data))


class UART:
    """Serial port. Stream methods give None where nothing could be done in time."""

    IRQ_RXIDLE = 8

    def __init__(
        self, number: int, baudrate: int, bits: int, parity: "int | None", stop: int,
        tx: Pin, rx: Pin, timeout: int = 0, timeout_char: int = 0,
        rxbuf: int = 256, txbuf: int = 256,
    ) -> None:  # fmt: skip
        self._name = _peripheral("uart", number, tx=tx, rx=rx)
        self._open = True
        self.init(baudrate, bits, parity, stop, timeout, timeout_char, rxbuf, txbuf)

    def init(
        self, baudrate: int, bits: int, parity: "int | None", stop: int,
        timeout: int = 0, timeout_char: int = 0, rxbuf: int = 256, txbuf: int = 256,
    ) -> None:  # fmt: skip
        """Begin anew, with empty buffers of these sizes. Software chips have no parity."""
        if bits not in (7, 8) or parity not in (None, 0, 1) or stop not in (1, 2):
            raise ValueError("no such mode")
        self._received = b""
        self._room = rxbuf
        if mcu.has(self._name):  # else nothing is soldered to it, which no UART notices
            mcu.transfer(self._name, 3, baudrate.to_bytes(4, "big"))

    def _receive(self) -> None:
        free = self._room - len(self._received)
        if free > 0 and self._open and mcu.has(self._name):
            self._received += mcu.transfer(self._name, 2, free.to_bytes(2, "big"))

    def any(self) -> int:
        """How many bytes wait."""
        self._receive()
        return len(self._received)

    def read(self, count: int) -> "bytes | None":
        """At most ``count`` bytes."""
        self._receive()
        data, self._received = self._received[:count], self._received[count:]
        return data or None

    def write(self, data: bytes) -> "int | None":
        """How many bytes were taken."""
        if not mcu.has(self._name):
            return len(data)
        return int.from_bytes(mcu.transfer(self._name, 1, bytes(data)), "big") or None

    def irq(self, handler: "Any" = None, trigger: int = 0) -> None:
        """Interrupts are played by whoever waits for them (network.PPP)."""
        self.handler = handler

    def deinit(self) -> None:
        """Switch it off."""
        self._open = False


class WDT:
    """Watchdog, armed at once and for good."""

    def __init__(self, id: int = 0, timeout: int = 5000) -> None:
        mcu.transfer("mcu", 1, timeout.to_bytes(4, "big"))

    def feed(self) -> None:
        """Begin the time anew."""
        mcu.transfer("mcu", 2, b"")


class RTC:
    """The chip's calendar: (year, month, day, weekday, hours, minutes, seconds, subseconds)."""

    def datetime(self, to: "tuple[int, ...] | None" = None) -> "tuple[int, ...] | None":
        """Read without argument, else set."""
        import time

        if to is None:
            seconds = int.from_bytes(mcu.transfer("mcu", 4, b""), "big")
            year, month, day, hour, minute, second, weekday = time.gmtime(seconds)[:7]
            return (year, month, day, weekday, hour, minute, second, 0)
        year, month, day, _, hour, minute, second = to[:7]
        mcu.transfer("mcu", 5, _seconds(year, month, day, hour, minute, second).to_bytes(8, "big"))
        return None


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Unix seconds; mktime of both interpreters would apply the computer's zone."""
    past = 0
    for each in range(1970, year):
        past += 366 if each % 4 == 0 and (each % 100 or each % 400 == 0) else 365
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    past += sum(lengths[: month - 1]) + day - 1
    return past * 86400 + hour * 3600 + minute * 60 + second
