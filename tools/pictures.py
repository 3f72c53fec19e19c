"""Makes the pictures of the README: ``python tools/pictures.py [FOLDER]``.

``emulator.png`` the page in mid-sale, in Debian's chromium; ``receipt.png`` and
``screens.png`` from ``till demo`` in English and Chinese. Needs the extras of
``make test``.
"""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TILL = [sys.executable, "-m", "host_tools.till"]
SIZE = {"width": 1600, "height": 1000}
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
#: Screens of the sheet, with which of a run's pictures of that screen is taken.
SHEET = (
    ("boot", -1), ("idle", 0), ("amount", -1), ("present_card", 0), ("pin", 3),
    ("progress", -1), ("result", 0), ("question", 0), ("remove_card", 0),
)  # fmt: skip
SCALE, GAP, PER_ROW = 2, 14, 3
GROUND, GLASS, INK = (33, 35, 39), (4, 7, 12), (211, 241, 255)


def demo(out: Path, language: str) -> None:
    """One sale; its screens and its receipt in ``out``."""
    subprocess.run(
        [*TILL, "demo", "--out", str(out), "--language", language],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def panels(folder: Path) -> list[Image.Image]:
    """The sheet's screens of one run, tinted like the panel."""
    found = []
    for name, which in SHEET:
        paths = sorted(folder.glob(f"screen-*-{name}.png"))
        frame = Image.open(paths[min(which, len(paths) - 1)]).convert("L")
        frame = frame.resize((128 * SCALE, 64 * SCALE), Image.Resampling.NEAREST)
        tinted = Image.new("RGB", frame.size, GLASS)
        tinted.paste(INK, mask=frame)
        found.append(tinted)
    return found


def sheet(english: Path, chinese: Path, out: Path) -> None:
    """English screens on the left, Chinese on the right."""
    wide, tall = 128 * SCALE + GAP, 64 * SCALE + GAP
    rows = -(-len(SHEET) // PER_ROW)
    picture = Image.new("RGB", (2 * PER_ROW * wide + 3 * GAP, rows * tall + GAP), GROUND)
    for side, folder in enumerate((english, chinese)):
        left = GAP + side * (PER_ROW * wide + GAP)
        for at, panel in enumerate(panels(folder)):
            picture.paste(panel, (left + at % PER_ROW * wide, GAP + at // PER_ROW * tall))
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=8).save(out, optimize=True)


def receipts(strip: Path, out: Path) -> None:
    """The two copies on a strip of paper, side by side."""
    paper = Image.open(strip).convert("L")
    blank = [not paper.crop((0, y, paper.width, y + 1)).point(lambda v: 255 - v).getbbox()
             for y in range(paper.height)]  # fmt: skip
    # The feed between the copies is the longest blank run with print on both sides.
    runs, start = [], 0
    for y in range(1, paper.height + 1):
        if y == paper.height or blank[y] != blank[start]:
            if blank[start] and start and y < paper.height:
                runs.append((y - start, start, y))
            start = y
    _, end, begin = max(runs)
    last = max(y for y in range(paper.height) if not blank[y])
    copies = [paper.crop((0, 0, paper.width, end)), paper.crop((0, begin, paper.width, last + 1))]
    tall = max(copy.height for copy in copies) + 2 * GAP
    picture = Image.new("L", (2 * paper.width + 3 * GAP, tall), GROUND[0])
    for at, copy in enumerate(copies):
        left = GAP + at * (paper.width + GAP)
        picture.paste(255, (left, GAP // 2, left + paper.width, GAP + copy.height + GAP // 2))
        picture.paste(copy, (left, GAP))
    picture.quantize(4).save(out, optimize=True)


def page(out: Path) -> None:
    """The emulator's page, photographed by this script run as its command."""
    command = shlex.join([sys.executable, str(Path(__file__).resolve()), "--photograph", str(out)])
    subprocess.run(
        [*TILL, "emulate", "--port", "0", "--command", command],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


async def photograph(address: str, out: Path) -> None:
    """One sale, then a second as far as the PIN."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        chromium = shutil.which("chromium") or "/usr/bin/chromium"
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        tab = await browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        await tab.goto(address)

        async def screen(name: str) -> None:
            await tab.wait_for_function("n => document.body.dataset.screen === n", arg=name)

        async def keys(*names: str) -> None:
            for name in names:
                await tab.keyboard.press(name, delay=70)
                await tab.wait_for_timeout(60)

        await screen("idle")
        await sell(tab, screen, keys)
        await screen("question")
        await keys("Escape")
        await screen("remove_card")
        await tab.click("#remove")
        await screen("idle")
        await tab.wait_for_timeout(1500)  # the printer ends its feed
        await keys("4", "5", "6", "0", "Enter")
        await screen("present_card")
        await tab.click('[data-card="dda"]')
        await screen("pin")
        await keys("1", "2", "3")
        await tab.evaluate(
            """() => {
              const sales = [...document.querySelectorAll('#trace .iso')]
                .filter(item => item.textContent.includes('0200 to bank'));
              sales[0].querySelector('details').open = true;
              const list = document.getElementById('trace');
              list.scrollTop = sales[0].offsetTop - list.offsetTop - 90;
              const paper = document.getElementById('paper');
              paper.scrollTop = Math.max(0, paper.scrollHeight - 880);
            }"""
        )
        await tab.screenshot(path=out)
        await browser.close()
    picture = Image.open(out).convert("RGB")
    picture.quantize(192, dither=Image.Dither.NONE).save(out, optimize=True)


async def sell(tab: Any, screen: Any, keys: Any) -> None:
    """Amount, card, PIN."""
    await keys("1", "2", "3", "4", "Enter")
    await screen("present_card")
    await tab.click('[data-card="approve"]')
    await screen("pin")
    await keys("1", "2", "3", "4", "Enter")


def main() -> None:
    """Make all pictures."""
    if sys.argv[1:2] == ["--photograph"]:
        asyncio.run(photograph(os.environ["OPENTILL_URL"], Path(sys.argv[2])))
        return
    out = (Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images").absolute()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="opentill-pictures-") as folder:
        english, chinese = Path(folder) / "en", Path(folder) / "zh"
        demo(english, "en")
        demo(chinese, "zh")
        receipts(english / "receipt.png", out / "receipt.png")
        sheet(english, chinese, out / "screens.png")
    page(out / "emulator.png")


if __name__ == "__main__":
    main()
