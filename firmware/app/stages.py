"""The screen while the terminal is at the acquirer."""

from firmware import aio
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from firmware.app.terminal import Terminal

#: How long "cannot cancel now" stands in place of the stage.
TOO_LATE_MS = 2_000


async def during(
    t: "Terminal", amount_text: str, whole: str, work: "Coroutine[Any, Any, None]"
) -> None:
    """Show ``StageScreen`` until ``work`` ends; its error is raised."""
    stages = StageScreen(t, amount_text, whole)
    try:
        await work
    finally:
        await stages.stop()


class StageScreen:
    """Shows what the host session does, with seconds; answers the Cancel key
    with a text, for nothing cancels a request that may have left.

    ``whole``: text key of what stands for all of it in place of each stage.
    """

    def __init__(self, t: "Terminal", amount_text: str, whole: str = "") -> None:
        self._t = t
        self._amount = amount_text
        self._stage = self._whole = whole
        self._changed = aio.Event()
        self._started = aio.ticks_ms()
        self._too_late_at: "int | None" = None
        assert t.session is not None
        self._session = t.session
        self._session.on_stage = self.show
        self._session.exchange.stage = self._exchange_stage
        self._tasks = [aio.spawn("stage", self._draw()), aio.spawn("keys", self._keys())]

    def show(self, text_key: str) -> None:
        """Change the stage; drawn by the task."""
        self._stage = self._whole or text_key
        self._changed.set()

    def _exchange_stage(self, name: str) -> None:
        self.show("sale.stage." + name)

    async def _draw(self) -> None:
        while True:
            if self._stage:
                seconds = aio.elapsed_ms(self._started) // 1000
                stage = self._stage
                if self._too_late_at is not None:
                    if aio.elapsed_ms(self._too_late_at) < TOO_LATE_MS:
                        stage = "sale.cancel_not_now"
                    else:
                        self._too_late_at = None
                await self._t.view.show(screens.progress(stage, seconds, self._amount))
            await aio.first(("changed", self._changed.wait()), timeout_ms=1000)
            self._changed.clear()

    async def _keys(self) -> None:
        while True:
            if await self._t.devices.keypad.read() == "cancel":
                self._too_late_at = aio.ticks_ms()
                self._changed.set()
                await self._t.sound("error")

    async def stop(self) -> None:
        """End the tasks; the keypad is free again. Harmless twice."""
        self._session.on_stage = None
        self._session.exchange.stage = None
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            await task.done.wait()
            self._t.note_end(task)
        self._tasks = []
