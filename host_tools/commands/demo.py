"""``till demo``: the main job without a browser, every part of it shown.

Boots the virtual handheld, keys an amount, inserts a card, keys its PIN and
prints what happened: each screen as text, each message decoded, the receipt.
Exits 1 if the sale was not approved or the bank's ledger disagrees.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from host_tools.command_line import command_app
from host_tools.errors import UserError

if TYPE_CHECKING:
    from host_tools.emulator.machine import Machine

app = command_app("Take one chip sale and show every part of it.")

AMOUNT = "1234"
END = ("question", "result", "message", "idle")
PAPER_MARGIN = 16


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pictures.")] = Path(
        "demo-out"
    ),
    language: Annotated[
        str, typer.Option(metavar="CODE", help="The terminal's language: en or zh.")
    ] = "en",
    card: Annotated[
        str, typer.Option(metavar="NAME", help="Card of the deck (docs/deck.md).")
    ] = "approve",
) -> None:
    """Take one chip sale and show every part of it.

    Prints each screen, each message and the receipt, and leaves the screens and
    the receipt as PNG files. Exits 1 if the sale was not approved or the bank's
    ledger disagrees.

    \b
    Example:
      till demo --card offline-pin --language zh
    """
    if language not in ("en", "zh"):
        raise UserError(f"no language {language!r}; known: en, zh")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {out}: {error}") from None
    with tempfile.TemporaryDirectory(prefix="opentill-") as folder:
        complaint = asyncio.run(_sale(Path(folder), out, language, card))
    if complaint:
        raise UserError(complaint)
    print(f"\nThe sale is approved, and the bank's ledger agrees. Pictures are in {out}/")


class Album:
    """Prints each new screen and message; keeps each frame as a PNG."""

    def __init__(self, machine: Any, out: Path) -> None:
        self._m = machine
        self._out = out
        self._count = 0
        self._last = b""
        machine.rack.debug.on_tree.append(self._screen)
        machine.listeners.append(self._entry)

    def _screen(self, tree: dict[str, Any]) -> None:
        frame = self._m.rack.display.frame()
        if frame == self._last:
            return
        self._last = frame
        self._count += 1
        words = [_words(node) for node in tree.get("nodes", [])]
        print(f"[screen] {tree.get('screen')}: " + " | ".join(word for word in words if word))
        self._picture(self._out / f"screen-{self._count:02d}-{tree.get('screen')}.png")

    def _picture(self, path: Path) -> None:
        from PIL import Image

        panel = self._m.rack.display
        picture = Image.new("L", (panel.width, panel.height), 0)
        for y in range(panel.height):
            for x in range(panel.width):
                if panel.lit(x, y):
                    picture.putpixel((x, y), 255)
        picture.resize((panel.width * 4, panel.height * 4)).save(path)

    @staticmethod
    def _entry(entry: dict[str, Any]) -> None:
        print(f"[{entry['kind']}] {entry['title']} {entry['text']}".rstrip())
        if entry["kind"] == "iso":
            for name, value in entry["fields"]:
                print(f"    {name:<34} {value}")


def _words(node: dict[str, Any]) -> str:
    if "count" in node:
        return f"{node['name']} {node['count']}"
    if node.get("items"):
        items = [item if isinstance(item, list) else [item] for item in node["items"]]
        return ", ".join(" ".join(map(str, item)) for item in items)
    return " ".join(str(node.get("text", "")).split())


async def _sale(folder: Path, out: Path, language: str, card: str) -> str:
    """Run it; what is wrong with the result, "" for nothing."""
    from host_tools.emulator import scripted
    from host_tools.emulator.deck import load
    from host_tools.emulator.machine import Machine, running

    known = load().cards
    if card not in known:
        raise UserError(f"no card {card!r}; the deck has:\n{_columns(list(known))}")
    for old in out.glob("screen-*.png"):
        old.unlink()
    (out / "receipt.png").unlink(missing_ok=True)
    print("Starting the test bank and the virtual terminal ...", flush=True)
    machine = Machine(folder, language=language)
    async with running(machine, start=False):
        scripted.before_power(machine, "ready", language)
        Album(machine, out)
        await machine.start()
        await scripted.after_power(machine, "ready")
        tree = await scripted.pay(machine, AMOUNT, card, END)
        if not _says(tree, "result.approved") and tree["screen"] != "question":
            return _refusal(machine, tree)
        await machine.screen("question", timeout_s=30)
        await machine.press("enter")
        await machine.screen("remove_card", timeout_s=30)
        machine.remove()
        await machine.screen("idle", timeout_s=20)
        paper = machine.rack.printer.paper
        print("\n" + paper.text())
        _framed(paper.image()).save(out / "receipt.png")
        return _complaint(machine, str(paper.text()))


def _columns(names: list[str]) -> str:
    """Names below each other in as many columns as the terminal is wide."""
    cell = max(map(len, names)) + 2
    across = max(1, (shutil.get_terminal_size().columns - 2) // cell)
    rows = [names[at : at + across] for at in range(0, len(names), across)]
    return "\n".join("  " + "".join(name.ljust(cell) for name in row).rstrip() for row in rows)


def _says(tree: dict[str, Any], key: str) -> bool:
    return any(node.get("key") == key for node in tree.get("nodes", []))


def _refusal(machine: "Machine", tree: dict[str, Any]) -> str:
    """What the terminal shows instead of an approval, in one line."""
    words = " | ".join(word for word in map(_words, tree.get("nodes", [])) if word)
    booked = [row["state"] for row in machine.acquirer.transactions()]
    return (
        f"the sale was not approved: {' '.join(words.split())} (ledger: {', '.join(booked) or '-'})"
    )


def _framed(image: Any) -> Any:
    """The receipt with a margin, as paper has one."""
    from PIL import ImageOps

    return ImageOps.expand(image, PAPER_MARGIN, 255).convert("1")


def _complaint(machine: "Machine", paper: str) -> str:
    rows = machine.acquirer.transactions()
    approved = [row for row in rows if row["state"] == "approved"]
    if len(rows) != 1 or len(approved) != 1:
        return f"the bank's ledger has {len(approved)} approved payments of {len(rows)}, not one"
    if approved[0]["amount"] != int(AMOUNT):
        return f"the bank booked {approved[0]['amount']} minor units, not {AMOUNT}"
    if approved[0]["auth_code"] not in paper or approved[0]["rrn"] not in paper:
        return "the receipt does not show the bank's authorisation code and reference"
    if machine.printed_stderr:
        return "the terminal complained: " + machine.printed_stderr[0]
    return ""
