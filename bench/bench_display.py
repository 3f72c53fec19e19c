"""From frame to bytes on the display bus, against luma.oled's display(), in one run.

Panels with more than one bit a pixel against the whole frame in the same form. "Time on
the bus" is a change's bytes at the clock of each board's own bus, nine bits a byte on I2C
(eight and the acknowledge), eight on SPI; its peer is the same of the whole frame. The bus's
limit is the frame's memory alone at that clock. Raspberry Pi's I2C is taken at 100 kHz, its
default; board pages may raise it. The rig's board has no clock and no row.
"""

import asyncio
import inspect
import time
import warnings
from typing import Any

from luma.core.interface.serial import spi
from luma.oled import device as luma_oled
from PIL import Image

from firmware.buses.display_bus import DisplayBus
from firmware.drivers.oled import Oled
from firmware.drivers.oled_bare import BareOled
from firmware.drivers.panel_bare import BarePanel
from firmware.drivers.panel_pixels import writer
from firmware.text.canvas import Canvas
from firmware.text.faces import Face
from host_tools import board_file

WIDTH, HEIGHT = 128, 64


#: Address and control byte of each transfer on I2C; SPI has a wire for them.
I2C_MORE, SPI_MORE = 2, 0


class Counter(DisplayBus):
    """Counts bytes as the bus carries them, ``more`` with each transfer."""

    def __init__(self, more: int = I2C_MORE) -> None:
        self.count = 0
        self._more = more

    def command(self, *commands: int) -> None:
        self.count += len(commands) + self._more

    def data(self, data: bytes | bytearray | list[int]) -> None:
        self.count += len(data) + self._more


def _frame(amount: str, clock: str, prompt: str, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    canvas = Canvas(width, height)
    face = Face("latin16")
    face.draw(canvas, 0, 0, clock)
    face.draw(canvas, width - face.width(amount), 24, amount)
    face.draw(canvas, 0, 46, prompt)
    return bytes(canvas.frame)


def _image(frame: bytes) -> Image.Image:
    image = Image.new("1", (WIDTH, HEIGHT))
    for i, byte in enumerate(frame):
        for bit in range(8):
            if byte >> bit & 1:
                image.putpixel((i % WIDTH, i // WIDTH * 8 + bit), 1)
    return image


CHANGES = (
    ("one digit typed", ("¥1.28", "12:00", "请输入金额"), ("¥12.80", "12:00", "请输入金额")),
    ("the clock's minute", ("¥12.80", "12:00", "请输入金额"), ("¥12.80", "12:01", "请输入金额")),
    ("another prompt", ("¥12.80", "12:00", "请输入金额"), ("¥12.80", "12:00", "请插卡")),
    ("another screen", ("¥12.80", "12:00", "请插卡"), ("APPROVED", "交易成功", "Remove card")),
)


#: Controllers of 128x64 with a bit a pixel, and the first column that they show.
PAGES = {"ssd1306": 0, "sh1106": 2, "ssd1309": 0}


async def _ours(
    frames: tuple[bytes, bytes], turns: int, controller: str = "ssd1306"
) -> tuple[float, float]:
    """(bytes a change, CPU ms a change) of our driver, there and back."""
    bus = Counter()
    oled = Oled(bus, controller, WIDTH, HEIGHT, PAGES[controller])
    await oled.show(frames[0])
    bus.count = 0
    begin = time.thread_time()
    for i in range(turns):
        await oled.show(frames[(i + 1) % 2])
    spent = time.thread_time() - begin
    return bus.count / turns, spent * 1000 / turns


async def theirs(frames: tuple[bytes, bytes], turns: int) -> tuple[float, float]:
    """As ``_theirs``, for a caller in a loop."""
    return await asyncio.to_thread(_theirs, frames, turns)


def _theirs(
    frames: tuple[bytes, bytes], turns: int, controller: str = "ssd1306"
) -> tuple[float, float]:
    """As ``_ours``, of luma's display()."""
    bus = Counter()
    images = [_image(frame) for frame in frames]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # luma reads pixels by getdata()
        device = getattr(luma_oled, controller)(bus)
        device.persist = True
        device.display(images[0])
        bus.count = 0
        begin = time.thread_time()
        for i in range(turns):
            device.display(images[(i + 1) % 2])
        spent = time.thread_time() - begin
    return bus.count / turns, spent * 1000 / turns


#: Panels with more than one bit a pixel.
PANELS = (("ssd1322", 256, 64), ("st7789", 240, 240), ("st7789", 320, 240))


#: Boards whose panel hangs on a bus with a clock.
BOARDS = ("rp2350-pico2w", "esp32-s3", "rpi-zero-2w", "rpi-cm4-counter")
#: The kernel's default for the I2C of a Raspberry Pi; of MicroPython's I2C ours.
PI_I2C_HZ, MPY_I2C_HZ = 100_000, 400_000


async def _panel(
    controller: str, size: tuple[int, int], frames: tuple[bytes, bytes], offset: int, more: int
) -> tuple[int, int]:
    """Bytes of the second frame sent whole, and of the change to it from the first."""
    bus, whole = Counter(more), Counter(more)
    kind = BareOled if controller in PAGES else BarePanel
    panel = kind(bus, controller, *size, offset)
    await panel.show(frames[0])
    bus.count = 0
    await panel.show(frames[1])
    writer(whole, controller, *size, offset, 0xFFFFFF, 0).show(frames[1])
    return whole.count, bus.count


def _bus_of(board: dict[str, Any]) -> tuple[str, int, int, int]:
    """(name, clock in Hz, bits a byte, bytes more with each transfer) of the panel's bus."""
    bus = board["bus"][board["display"]["bus"]]
    if bus["driver"] == "luma_spi":
        # luma's own, for the board file has none.
        return (
            "SPI",
            inspect.signature(spi.__init__).parameters["bus_speed_hz"].default,
            8,
            SPI_MORE,
        )
    if bus["driver"] == "luma_i2c":
        return "I2C", PI_I2C_HZ, 9, I2C_MORE
    return "I2C", board["bus"][bus["bus"]].get("hz", MPY_I2C_HZ), 9, I2C_MORE


#: Bits of the controller's memory for one pixel.
_DEPTH = {"ssd1322": 4, "st7789": 16}


def _times(name: str) -> list[tuple[str, float, float, str, float, str]]:
    """The rows of a board: each change, and the whole frame against the bus's limit."""
    board = board_file.read(board_file.find(name))
    display = board["display"]
    size = display["width"], display["height"]
    controller, offset = display["driver"], display.get("column_offset", 0)
    bus, hertz, bits, more = _bus_of(board)
    place = f"display {name} ({controller} {size[0]}x{size[1]}, {bus} at {hertz // 1000} kHz)"
    out: list[tuple[str, float, float, str, float, str]] = []
    longest = 0.0
    for change, before, after in CHANGES:
        frames = _frame(*before, *size), _frame(*after, *size)
        counts = asyncio.run(_panel(controller, size, frames, offset, more))
        whole, ours = (count * bits * 1000 / hertz for count in counts)
        longest = max(longest, whole)
        out.append(
            (f"{place}: {change}, time on the bus", ours, whole, "ms", ours / whole, "below 1")
        )
    memory = size[0] * size[1] * _DEPTH.get(controller, 1) // 8
    limit = memory * bits * 1000 / hertz
    label = f"{place}: a whole frame (peer: the bus's limit)"
    out.append((label, longest, limit, "ms", longest / limit, "at most 1.1"))
    return out


def rows() -> list[tuple[str, float, float, str, float, str]]:
    """(name, ours, peer, unit, ratio, aim)."""
    out: list[tuple[str, float, float, str, float, str]] = []
    for name, before, after in CHANGES:
        frames = _frame(*before), _frame(*after)
        ours, our_ms = asyncio.run(_ours(frames, 200))
        theirs, their_ms = _theirs(frames, 40)
        out.append((f"display: {name}, bus bytes", ours, theirs, "bytes", ours / theirs, "below 1"))
        out.append(
            (f"display: {name}, CPU", our_ms, their_ms, "ms", our_ms / their_ms, "under 5 ms")
        )
    for controller in ("sh1106", "ssd1309"):
        for name, before, after in CHANGES:
            frames = _frame(*before), _frame(*after)
            ours, _ = asyncio.run(_ours(frames, 2, controller))
            theirs, _ = _theirs(frames, 2, controller)
            label = f"display {controller}: {name}, bus bytes"
            out.append((label, ours, theirs, "bytes", ours / theirs, "below 1"))
    for controller, width, height in PANELS:
        for name, before, after in CHANGES:
            frames = _frame(*before, width, height), _frame(*after, width, height)
            whole, change = asyncio.run(_panel(controller, (width, height), frames, 0, SPI_MORE))
            label = (
                f"display {controller} {width}x{height}: {name}, bus bytes (peer: the whole frame)"
            )
            out.append((label, change, whole, "bytes", change / whole, "below 1"))
    for board in BOARDS:
        out += _times(board)
    return out


if __name__ == "__main__":
    for row in rows():
        print(row)
