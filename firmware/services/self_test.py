"""Self-test, at power-on and from the menu: every device answers for itself, by name.

A device that fails stays named on screen and slip; what it blocks is decided
by the caller: no payment without vault, storage, entropy, keypad, clock and
card reader, while a sale does complete without printer, lamps, the other readers
or a watchdog.
"""

from firmware.errors import TillError
from firmware.hal.card_reader import CardError
from firmware.hal.vault import VaultError
from firmware.services import link_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

#: Device kinds in the order in which they are tested and shown.
KINDS = (
    "display", "keypad", "files", "entropy", "vault", "clock", "tamper", "power",
    "card_reader", "contactless", "stripe", "scanner", "printer", "network", "indicators",
    "watchdog",
)  # fmt: skip
#: Not asked at power-on but from the menu and by the doctor: its driver is loaded at
#: the first question, and start-up time and memory are left to what a sale needs.
ASKED_LATER = ("contactless",)
AT_START = tuple(kind for kind in KINDS if kind not in ASKED_LATER)
#: Without these no payment starts.
ESSENTIAL = ("display", "keypad", "files", "entropy", "vault", "clock", "tamper", "card_reader")
#: Storage below this is a failure: a payment and its reversal must fit.
LEAST_FREE_BYTES = 256 * 1024

#: Texts of devices that did not start, where "error." and the kind mean something else.
_NOT_STARTED = {"tamper": "error.tamper_sensor"}


class Result:
    """``state``: "ok", "warn" (works, needs attention), "fail", "absent". ``detail``:
    what is wrong; of a device that is well, what it says of itself."""

    def __init__(self, kind: str, state: str, text_key: str = "", detail: str = "") -> None:
        self.kind = kind
        self.state = state
        self.text_key = text_key
        self.detail = detail


async def run(
    devices: "Any",
    build_time: int,
    on_result: "Callable[[Result], Awaitable[None]]",
    kinds: "tuple[str, ...]" = KINDS,
) -> "list[Result]":
    """Test each device of ``kinds``; ``on_result`` hears of each result as it comes.

    ``build_time``: Unix seconds of this firmware's build; an earlier clock is
    wrong (rules of money, 20).
    """
    failed = {}
    for kind, driver, error in devices.failures:
        failed[kind] = driver + ": " + str(error)
    results = []
    for kind in kinds:
        if kind in failed:
            result = Result(kind, "fail", _NOT_STARTED.get(kind, "error." + kind), failed[kind])
        elif getattr(devices, kind) is None:
            result = Result(kind, "absent")
        else:
            result = await _one(kind, devices, build_time)
        results.append(result)
        await on_result(result)
    return results


async def _one(kind: str, devices: "Any", build_time: int) -> Result:
    try:
        check = _CHECKS.get(kind)
        complaint = await check(devices, build_time) if check else None
    except TillError as error:
        return Result(kind, "fail", error.text_key, str(error))
    if complaint is None:
        return Result(kind, "ok")
    state, text_key, detail = complaint
    return Result(kind, state, text_key, detail)


async def _keypad(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    await devices.keypad.check()
    return None


async def _files(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    free = await devices.files.free()
    if free < LEAST_FREE_BYTES:
        return "fail", "error.storage_full", str(free) + " bytes left"
    return None


async def _entropy(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    await devices.entropy.self_test()
    if not (devices.entropy.genuine or devices.capabilities.emulated):
        return "fail", "error.entropy", "the random source says that a seed made its numbers"
    return None


async def _vault(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    try:
        await devices.vault.status()  # one in service is not taken out of it
    except VaultError:
        await devices.vault.open()
    else:
        await devices.vault.check()
    return None


async def _clock(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    now = await devices.clock.now()
    if now < build_time:
        return "fail", "error.clock_wrong", "the clock is earlier than this firmware"
    return None


async def _tamper(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    if await devices.tamper.open():
        return "fail", "error.tamper", "the case is open"
    return None


async def _power(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    status = await devices.power.status()
    if status.low(devices.capabilities.least_percent):
        return "warn", "error.battery_low", str(status.percent) + " %"
    return None


async def _reader(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    await devices.card_reader.present()
    return None


async def _contactless(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    try:
        return "ok", "", await devices.contactless.check()
    except CardError as error:
        return "fail", "error.contactless", str(error)


async def _stripe(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    await devices.stripe.check()
    return None


async def _scanner(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    await devices.scanner.check()
    return None


async def _watchdog(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    said = await devices.watchdog.check()
    if devices.watchdog.armed and await devices.watchdog.bitten():
        return "warn", "error.watchdog_bitten", "the last reset was the watchdog's"
    return "ok", "", said


async def _printer(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    status = await devices.printer.status()
    if status.paper_out:
        return "warn", "error.printer_paper", "no paper"
    if status.cover_open:
        return "warn", "error.printer_cover", "cover open"
    if status.hot:
        return "warn", "error.printer_hot", "head too hot"
    if status.error:
        return "fail", "error.printer", "the printer reports an error"
    if status.paper_low:
        return "warn", "error.printer_paper_low", "paper near its end"
    return None


async def _network(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    status = await devices.network.status()
    ways = getattr(devices.network, "ways", ())
    if not ways:
        return None if status.up else ("warn", "error.network_link", "no link")
    said = ", ".join([way.name + " " + (way.cause or way.state) for way in ways])
    if status.up:
        return "ok", "", said
    active = devices.network.active
    return "warn", link_words.problem(active.bearer.kind, active.cause, active.bars), said


async def _indicators(devices: "Any", build_time: int) -> "tuple[str, str, str] | None":
    await devices.indicators.lamp("busy", False)
    return None


_CHECKS = {
    "keypad": _keypad,
    "files": _files,
    "entropy": _entropy,
    "vault": _vault,
    "clock": _clock,
    "tamper": _tamper,
    "power": _power,
    "card_reader": _reader,
    "contactless": _contactless,
    "stripe": _stripe,
    "scanner": _scanner,
    "printer": _printer,
    "network": _network,
    "indicators": _indicators,
    "watchdog": _watchdog,
}
