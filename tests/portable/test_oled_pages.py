"""Page writer and bare OLED driver on a small stand-in for the panel's bus."""

from firmware import aio
from firmware.buses.display_bus import DisplayBus
from firmware.buses.wire import BusError
from firmware.drivers.oled_bare import BareOled
from firmware.drivers.oled_pages import GAP, PageWriter, changed_runs
from firmware.drivers.panel_bare import BarePanel
from firmware.drivers.panel_pixels import writer
from firmware.hal.display import DisplayError


class Memory(DisplayBus):
    """A controller in page addressing mode, as far as the writer uses it."""

    def __init__(self, columns):
        self.columns = columns
        self.memory = bytearray(columns * 8)
        self.page = self.column = 0
        self.sent = 0
        self.broken = False

    def command(self, *commands):
        if self.broken:
            raise BusError("no acknowledge")
        if len(commands) == 3 and 0xB0 <= commands[0] <= 0xB7:
            self.page = commands[0] & 7
            self.column = commands[1] | (commands[2] & 0x0F) << 4

    def data(self, data):
        if self.broken:
            raise BusError("no acknowledge")
        for byte in data:
            self.memory[self.page * self.columns + self.column] = byte
            self.column += 1
        self.sent += len(data)

    def frame(self, offset):
        out = b""
        for page in range(8):
            start = page * self.columns + offset
            out += bytes(self.memory[start : start + 128])
        return out


def test_runs_of_changes():
    old = bytes(256)
    new = bytearray(256)
    assert changed_runs(old, new, 128) == []
    new[3] = new[5] = 1
    assert changed_runs(old, new, 128) == [(0, 3, 6)]
    new[5 + GAP + 1] = 1
    assert changed_runs(old, new, 128) == [(0, 3, 6 + GAP + 1)]
    new[5 + GAP + 1] = 0
    new[5 + GAP + 2] = 1
    assert changed_runs(old, new, 128) == [(0, 3, 6), (0, 7 + GAP, 8 + GAP)]
    new[255] = 9
    assert changed_runs(old, new, 128)[2] == (1, 127, 128)
    assert changed_runs(None, new, 128) == [(0, 0, 128), (1, 0, 128)]


def test_the_writer_brings_any_memory_to_the_frame():
    state = 1
    for columns, offset in ((128, 0), (132, 2)):
        bus = Memory(columns)
        writer = PageWriter(bus, 128, 64, offset)
        frame = bytearray(1024)
        for _ in range(20):
            for _ in range(25):
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                frame[(state >> 8) % 1024] = state & 0xFF
            writer.show(frame)
            assert bus.frame(offset) == bytes(frame)


def test_after_a_failure_everything_is_sent_again():
    bus = Memory(128)
    writer = PageWriter(bus, 128, 64, 0)
    writer.show(bytes(1024))
    bus.broken = True
    try:
        writer.show(b"\x01" * 1024)
        raise AssertionError("no error")
    except BusError:
        pass
    bus.broken = False
    bus.sent = 0
    writer.show(bytes(1024))
    assert bus.sent == 1024


def test_the_bare_driver():
    async def main():
        for controller, columns, offset in (("ssd1306", 128, 0), ("sh1106", 132, 2)):
            bus = Memory(columns)
            oled = BareOled(bus, controller, 128, 64, offset)
            await oled.show(b"\x42" * 1024)
            assert bus.frame(offset) == b"\x42" * 1024
            await oled.power(False)
            await oled.contrast(3)
            bus.broken = True
            for wait in (oled.show(bytes(1024)), oled.power(True), oled.contrast(9)):
                try:
                    await wait
                    raise AssertionError("no error")
                except DisplayError as error:
                    assert str(error) == "no acknowledge"

    aio.run(main())


class Windows(DisplayBus):
    """A controller whose windows are set by commands with data (SSD1322, ST7789)."""

    def __init__(self, columns, rows, write):
        self.codes = (columns, rows, write)
        self.windows = []
        self.sent = 0
        self.last = 0
        self.broken = False

    def command(self, *commands):
        if self.broken:
            raise BusError("no acknowledge")
        self.last = commands[-1]

    def data(self, data):
        self.sent += len(data)
        if self.last == self.codes[0]:
            self.windows.append([bytes(data)])
        elif self.last in self.codes[1:]:
            self.windows[-1].append(bytes(data))


def test_grey_pixels_come_in_groups_of_four():
    bus = Windows(0x15, 0x75, 0x5C)
    pages = writer(bus, "ssd1322", 256, 64, 0, 0, 0)
    frame = bytearray(2048)
    pages.show(frame)
    bus.windows = []
    frame[256 + 5] = 0x81
    pages.show(frame)
    pixels = bytearray(16)
    pixels[0] = pixels[14] = 0x0F  # the second of its group, in the first row and the last
    assert bus.windows == [[bytes((28 + 1, 28 + 1)), bytes((8, 15)), bytes(pixels)]]
    try:
        writer(bus, "ssd1322", 250, 64, 0, 0, 0)
        raise AssertionError("no error")
    except ValueError:
        pass


def test_colour_pixels_have_two_bytes():
    bus = Windows(0x2A, 0x2B, 0x2C)
    pages = writer(bus, "st7789", 320, 240, 0, 0xFFB000, 0x001830)
    frame = bytearray(320 * 30)
    pages.show(frame)
    bus.windows = []
    frame[29 * 320 + 300] = 0x02
    pages.show(frame)
    ink, paper = b"\xfd\x80", b"\x00\xc6"
    rows = paper + ink + paper * 6
    assert bus.windows == [[b"\x01\x2c\x01\x2c", b"\x00\xe8\x00\xef", rows]]
    bus.broken = True
    try:
        pages.show(bytes(320 * 30))
        raise AssertionError("no error")
    except BusError:
        bus.broken = False
    bus.sent = 0
    pages.show(bytes(320 * 30))  # whole, after an error
    assert bus.sent == 30 * (8 + 320 * 16)


def test_a_bare_panel():
    async def main():
        bus = Windows(0x2A, 0x2B, 0x2C)
        panel = BarePanel(bus, "st7789", 240, 240, 80)
        assert bus.windows[0][0] == b"\x00\x50\x01\x3f"
        await panel.show(bytes(240 * 30))
        await panel.power(False)
        assert bus.last == 0x28
        await panel.contrast(9)
        assert bus.last == 0x51
        bus.broken = True
        try:
            await panel.restart()
            raise AssertionError("no error")
        except DisplayError:
            pass

    aio.run(main())
