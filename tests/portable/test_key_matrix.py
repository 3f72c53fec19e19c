"""Key matrix driver on a small stand-in for the pins (bounce and ghosts: conformance)."""

from firmware import aio
from firmware.buses.pins import OUT, Pins
from firmware.drivers.key_matrix import KeyMatrix
from firmware.hal.keypad import KeypadBusy
from tests.portable.virtual_run import run

KEYS = [["1", "2"], ["down", "enter"]]


class Matrix(Pins):
    """Rows on pins 0 and 1, columns on 2 and 3, keys closed by name."""

    def __init__(self):
        self.modes = [0] * 4
        self.levels = [0] * 4
        self.down = set()

    def mode(self, pin, mode):
        self.modes[pin] = mode

    def write(self, pin, level):
        assert self.modes[pin] == OUT
        self.levels[pin] = level

    def read(self, pin):
        for row in range(2):
            low = self.modes[row] == OUT and not self.levels[row]
            if low and KEYS[row][pin - 2] in self.down:
                return 0
        return 1


def make():
    pins = Matrix()
    return pins, KeyMatrix(pins, [0, 1], [2, 3], KEYS)


def test_press_release_repeat():
    async def main():
        pins, keypad = make()
        keypad.start()
        for name in ("1", "2", "enter"):
            pins.down = {name}
            assert await keypad.read() == name
            await aio.sleep_ms(1000)
            pins.down = set()
            await aio.sleep_ms(100)
        assert keypad.held() == []
        pins.down = {"down"}
        for _ in range(4):
            assert await keypad.read() == "down"
        assert keypad.held() == ["down"]
        keypad.stop()

    run(main())


def test_steps_one_after_another():
    pins = Matrix()
    pins.down = {"2"}
    steps = [("mode", 0, OUT), ("write", 0, 0), ("read", 2, 0), ("read", 3, 0)]
    assert pins.plan(steps)() == [1, 0]
    assert pins.modes[0] == OUT
    try:
        pins.plan([("toggle", 0, 0)])()
    except ValueError as error:
        assert "toggle" in str(error)
    else:
        raise AssertionError("an unknown step was done")


def test_a_claim():
    async def main():
        pins, keypad = make()
        token = keypad.claim()
        try:
            await keypad.read()
            raise AssertionError("no error")
        except KeypadBusy:
            pass
        pins.down = {"2"}
        assert await keypad.read_claimed(token) == "2"
        keypad.release(token)
        pins.down = set()
        await aio.sleep_ms(100)
        pins.down = {"1"}
        assert await keypad.read() == "1"
        keypad.stop()

    run(main())


def test_a_cancelled_wait_loses_nothing():
    async def main():
        pins, keypad = make()
        name, _ = await aio.first(("key", keypad.read()), timeout_ms=50)
        assert name == "timeout"
        pins.down = {"enter"}
        await aio.sleep_ms(100)
        assert await aio.first(("key", keypad.read()), timeout_ms=50) == ("key", "enter")
        keypad.stop()

    run(main())
