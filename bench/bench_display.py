"""From frame to bytes on the display bus, against luma.oled's display(), in one run.

Panels with more than one bit a pixel against the whole frame in the same form.
"""

import asyncio
import time
import warnings

from luma.oled.device import ssd1306
from PIL import Image

from firmware.buses.display_bus import DisplayBus
from firmware.drivers.oled import Oled
from firmware.drivers.panel_bare import BarePanel
from firmware.drivers.panel_pixels import writer
from firmware.text.canvas import Canvas
from firmware.text.faces import Face

WIDTH, HEIGHT = 128, 64


class Counter(DisplayBus):
    """Counts bytes as I2C carries them: address and control byte with each transfer."""

    def __init__(self) -> None:
        self.count = 0

    def command(self, *commands: int) -> None:
        self.count += len(commands) + 2

    def data(self, data: bytes | bytearray | list[int]) -> None:
        self.count += len(data) + 2


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


async def _ours(frames: tuple[bytes, bytes], turns: int) -> tuple[float, float]:
    """(bytes a change, CPU ms a change) of our driver, there and back."""
    bus = Counter()
    oled = Oled(bus, "ssd1306", WIDTH, HEIGHT, 0)
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


def _theirs(frames: tuple[bytes, bytes], turns: int) -> tuple[float, float]:
    """As ``_ours``, of luma's display()."""
    bus = Counter()
    images = [_image(frame) for frame in frames]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # luma reads pixels by getdata()
        device = ssd1306(bus)
        device.persist = True
        device.display(images[0])
        bus.count = 0
        begin = time.thread_time()
        for i in range(turns):
            device.display(images[(i + 1) % 2])
        spent = time.thread_time() - begin
    return bus.count / turns, spent * 1000 / turns


#: Panels with more than one bit a pixel.
PANELS = (("ssd1322", 256, 64), ("st7789", 320, 240))


async def _panel(controller: str, size: tuple[int, int], frames: tuple[bytes, bytes]) -> list[int]:
    """Bytes of the second frame sent whole, and of the change to it from the first."""
    bus, whole = Counter(), Counter()
    panel = BarePanel(bus, controller, *size)
    await panel.show(frames[0])
    bus.count = 0
    await panel.show(frames[1])
    writer(whole, controller, *size, 0, 0xFFFFFF, 0).show(frames[1])
    return [whole.count, bus.count]


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
    for controller, width, height in PANELS:
        for name, before, after in CHANGES:
            frames = _frame(*before, width, height), _frame(*after, width, height)
            whole, change = asyncio.run(_panel(controller, (width, height), frames))
            label = f"display {controller}: {name}, bus bytes (peer: the whole frame)"
            out.append((label, change, whole, "bytes", change / whole, "below 1"))
    return out


if __name__ == "__main__":
    for row in rows():
        print(row)
