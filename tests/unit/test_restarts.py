"""Ways to restart a modem from outside its serial line."""

from pathlib import Path

import pytest

from firmware import aio
from firmware.buses import usb_linux
from firmware.buses.pin_restart import PinRestart
from firmware.buses.usb_linux import UsbPort
from firmware.buses.wire import BusError
from firmware.buses.wire_bus import WirePins
from tests.support import rig
from tests.support.virtual_time import run

KEY = ((1, 800), (0, 6000), (1, 600), (0, 0))


def test_a_power_key_is_pressed_and_never_left_down() -> None:
    async def main() -> None:
        pins = WirePins(rig.rack(), "gpio")
        restart = PinRestart(pins, 20, KEY)
        assert pins.read(20) == 0
        started = aio.ticks_ms()
        pressing = aio.spawn("press", restart.cycle())
        levels = []
        for _ in range(8):
            await aio.sleep_ms(1000)
            levels.append(pins.read(20))
            if len(levels) == 6:
                await aio.sleep_ms(900)  # in the second press
                levels.append(pins.read(20))
        await pressing.join()
        assert 7000 <= aio.elapsed_ms(started) <= 9500
        assert levels == [0, 0, 0, 0, 0, 0, 1, 0, 0]
        name, _ = await aio.first(("press", restart.cycle()), timeout_ms=400)
        assert name == "timeout" and pins.read(20) == 0
        with pytest.raises(ValueError, match="levels"):
            PinRestart(pins, 20, ())

    run(main())


def test_a_usb_device_is_taken_from_the_bus_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usb_linux, "REST_MS", 1)
    (tmp_path / "1-1.2").mkdir()
    switch = tmp_path / "1-1.2" / "authorized"
    switch.write_text("1")
    seen: list[str] = []

    class Noted(UsbPort):
        def _write(self, text: str) -> None:
            super()._write(text)
            seen.append(switch.read_text())

    async def main() -> None:
        await Noted("1-1.2", str(tmp_path)).cycle()
        assert seen == ["0", "1"]
        with pytest.raises(BusError, match=r"9-9.*No such file"):
            await UsbPort("9-9", str(tmp_path)).cycle()

    aio.run(main())
