"""A person at the emulator's page: a real Chromium on a real emulator."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from host_tools.emulator import scripted
from host_tools.emulator.machine import Machine, running
from host_tools.emulator.page import Page
from host_tools.quiet_uvicorn import QuietServer

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LIMIT_MS = 60_000


class Hands:
    """A person at the page."""

    def __init__(self, browser_page: Any, machine: Machine, address: str) -> None:
        self.page = browser_page
        self.machine = machine
        self.address = address
        self.frames: list[str] = []
        self.errors: list[str] = []

    async def screen(self, *names: str) -> None:
        """Until the page shows one of these screens."""
        await self.page.wait_for_function(
            "names => names.includes(document.body.dataset.screen)",
            arg=list(names),
            timeout=LIMIT_MS,
        )

    async def says(self, text: str) -> None:
        """Until the display's label, which is what a screen reader reads, has this text."""
        await self.page.wait_for_function(
            "text => document.getElementById('oled').getAttribute('aria-label').includes(text)",
            arg=text,
            timeout=LIMIT_MS,
        )

    async def click(self, *keys: str) -> None:
        """Press keys with the mouse, quickly: the machine holds them long enough."""
        for key in keys:
            await self.page.click(f'#keys [data-key="{key}"]')

    async def type(self, *keys: str) -> None:
        """Press keys of the PC's keyboard."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def insert(self, card: str) -> None:
        await self.page.click(f'#deck [data-card="{card}"]')

    async def until(self, script: str, what: Any = None) -> None:
        """Until a condition in the page holds."""
        await self.page.wait_for_function(script, arg=what, timeout=LIMIT_MS)

    async def ledger(self, *states: str) -> None:
        """Until the bank's table shows these states, newest first."""
        await self.until(
            "states => JSON.stringify([...document.querySelectorAll('#ledger tr')]"
            ".map(row => row.children[3].textContent)) === JSON.stringify(states)",
            list(states),
        )

    async def trace(self) -> list[str]:
        """The trace's lines."""
        lines: list[str] = await self.page.eval_on_selector_all(
            "#trace li", "items => items.map(item => item.textContent)"
        )
        return lines


@contextlib.asynccontextmanager
async def at_the_page(
    folder: Path, language: str = "en", board: str = "virtual"
) -> AsyncIterator[Hands]:
    """An emulator, its page, and a browser that shows it."""
    from playwright.async_api import async_playwright

    machine = Machine(folder, board, language=language, trace="masked")
    async with running(machine, start=False):
        scripted.before_power(machine, "ready", language)
        page = Page(machine)
        await machine.start()
        server = QuietServer(page.app, websockets=True)
        serving, watching = (
            asyncio.create_task(server.serve()),
            asyncio.create_task(page.watch()),
        )
        try:
            await scripted.after_power(machine, "ready")
            while not server.started:
                await asyncio.sleep(0.02)
            port = server.servers[0].sockets[0].getsockname()[1]
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                tab = await browser.new_page(viewport={"width": 1600, "height": 1000})
                hands = Hands(tab, machine, f"http://127.0.0.1:{port}/")
                tab.on("pageerror", lambda error: hands.errors.append(str(error)))
                tab.on("console", lambda said: hands.errors.append(said.text))
                tab.on(
                    "websocket",
                    lambda ws: ws.on(
                        "framereceived", lambda frame: hands.frames.append(str(frame))
                    ),
                )
                await tab.goto(hands.address)
                await hands.screen("idle")
                yield hands
                await browser.close()
            assert hands.errors == []
            assert machine.printed_stderr == []
        finally:
            watching.cancel()
            page.close()
            server.should_exit = True
            server.force_exit = True
            await asyncio.gather(serving, watching, return_exceptions=True)


def play(
    folder: Path,
    story: Callable[[Hands], Coroutine[Any, Any, None]],
    language: str = "en",
    board: str = "virtual",
) -> None:
    async def whole() -> None:
        async with at_the_page(folder, language, board) as hands:
            await story(hands)

    asyncio.run(whole())
