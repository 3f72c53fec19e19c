"""The kernel's square waves (Documentation/ABI/testing/sysfs-class-pwm) without a kernel.

Folders are real, the attributes in them are answered here, as the kernel does it: at once,
and with EINVAL for a wave that is longer on than it is long.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.buses import pwm_linux


class SysfsChip:
    """pwmchip0 under ``folder``, its first channel heard."""

    def __init__(
        self,
        folder: Path,
        clock_us: Callable[[], int],
        monkeypatch: pytest.MonkeyPatch,
        channels: int = 2,
    ) -> None:
        self.folder = folder
        self._chip = folder / "pwmchip0"
        self._chip.mkdir()
        self._clock_us = clock_us
        self._channels = channels
        self._values: dict[str, int] = {}
        self.broken = False
        #: (time in us, frequency in Hz, 0 for silence): what was heard so far.
        self.heard: list[tuple[int, int]] = []
        self.frequency = 0
        monkeypatch.setattr(pwm_linux, "open", self._open, raising=False)

    def _open(self, path: str, mode: str = "r", encoding: str = "") -> io.StringIO:
        name = str(Path(path).relative_to(self._chip))
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        if mode == "w":
            if name != "export" and name not in self._values:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            return _Written(lambda text: self._store(name, int(text)))
        assert name == "npwm"
        return io.StringIO(f"{self._channels}\n")

    def _store(self, name: str, value: int) -> None:
        if name == "export":
            (self._chip / f"pwm{value}").mkdir()
            for attribute in ("enable", "period", "duty_cycle"):
                self._values[f"pwm{value}/{attribute}"] = 0
            return
        values = {**self._values, name: value}
        channel = name.partition("/")[0]
        period, duty = values[f"{channel}/period"], values[f"{channel}/duty_cycle"]
        on = values[f"{channel}/enable"]
        if value < 0 or duty > period or (on and not period):
            raise OSError(errno.EINVAL, "Invalid argument")
        self._values = values
        frequency = round(1_000_000_000 / period) if on and duty else 0
        if channel == "pwm0" and frequency != self.frequency:
            self.frequency = frequency
            self.heard.append((self._clock_us(), frequency))


class _Written(io.StringIO):
    """An attribute that is open for writing: the kernel gets it in one piece."""

    def __init__(self, store: Callable[[str], None]) -> None:
        super().__init__()
        self._store: Callable[[str], None] | None = store

    def close(self) -> None:
        """Hand over what was written."""
        store, self._store = self._store, None
        text = "" if self.closed else self.getvalue()
        super().close()
        if store is not None:
            store(text)
