"""Conformance of hal.printer: what every printer driver must do."""

import os
from collections.abc import Callable
from functools import partial

import pytest

from firmware import aio
from firmware.buses.usb_printer_linux import UsbPrinter
from firmware.buses.wire_bus import WireSerial
from firmware.drivers import escpos
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile
from firmware.hal.printer import (
    CoverOpen,
    PaperOut,
    Printer,
    PrinterError,
    PrinterHot,
    PrinterMissing,
)
from host_tools.board_rules import printer_profiles
from host_tools.emulator.rack import Rack
from tests.support import net_printer, rig, usb_lp, virtual_time

run = partial(virtual_time.run, descriptors=True)
Make = Callable[[], tuple[Printer, Rack]]
LONG = [("text", f"line {i} 第{i}行", "") for i in range(150)]


def _escpos(baud: int) -> Make:
    def build() -> tuple[Printer, Rack]:
        data = rig.board()
        data["bus"]["uart1"]["baud"] = baud
        rack = rig.rack(data)
        return EscposPrinter(WireSerial(rack, "printer", baud), Profile()), rack

    return build


Usb = Callable[..., tuple[Printer, Rack, usb_lp.UsbLp]]


@pytest.fixture
def usb(monkeypatch: pytest.MonkeyPatch) -> Usb:
    def build(answers: bool = True) -> tuple[Printer, Rack, usb_lp.UsbLp]:
        rack = rig.rack()
        rack.printer.mute = not answers
        node = usb_lp.UsbLp(rack.printer, monkeypatch)
        return EscposPrinter(UsbPrinter(usb_lp.PATH), Profile(answers=answers)), rack, node

    return build


@pytest.fixture(
    params=[_escpos(9600), _escpos(115200), _escpos(921600), net_printer.on_the_network, "usb"],
    ids=["9600", "115200", "921600", "net", "usb"],
)
def make(request: pytest.FixtureRequest, usb: Usb) -> Make:
    made: Make = (lambda: usb()[:2]) if request.param == "usb" else request.param
    return made


def test_a_document_is_on_paper_when_print_returns(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        await printer.print(rig.DOCUMENT)
        assert rack.printer.idle()
        text = rack.printer.text()
        for part in ("OpenTill 商店", "Amount 金额            ¥1,234.56", "[CODE128 RRN123456]"):
            assert part in text
        assert rack.printer.overruns == 0
        assert rack.printer.head.unknown == []

    run(main())


def _moved(rack: Rack) -> int:
    """Millimetres of paper that left the head, as the paper itself has them."""
    return len(rack.printer.paper.rows) // 8


def _close(said: int, moved: int) -> bool:
    """Within two in a hundred: how high a printer makes a symbol is known roughly."""
    return abs(said - moved) * 50 <= moved


def test_the_paper_is_as_long_as_the_driver_says(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        assert (printer.fed_mm, printer.cuts) == (0, 0)
        await printer.print([*rig.DOCUMENT, ("feed", 3), ("cut",)])
        assert printer.fed_mm > 40 and _close(printer.fed_mm, _moved(rack))
        await printer.print([*LONG[:20], ("text", "高", "h"), ("qr", "1234567890")])
        assert _close(printer.fed_mm, _moved(rack))
        assert printer.cuts == 0  # it tears

    run(main())


def test_paper_that_did_not_move_is_not_counted(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        rack.printer.rows_left = 3000
        with pytest.raises(PaperOut):
            await printer.print(LONG)
        assert 0 < printer.fed_mm <= _moved(rack) < 4500 // 8

    run(main())


def test_a_cutter_s_cuts_are_counted() -> None:
    async def main() -> None:
        rack = rig.rack()
        port = WireSerial(rack, "printer", 115200)
        printer = EscposPrinter(port, Profile(cutter=True))
        await printer.print([("text", "one", ""), ("cut",), ("text", "two", ""), ("cut",)])
        assert printer.cuts == 2
        rack.printer.paper_out = True
        with pytest.raises(PaperOut):
            await printer.print([("cut",)])
        assert printer.cuts == 2

    run(main())


def test_a_long_document_never_overruns_the_buffer(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        picture = ("image", 384, [bytes((i * 7 + y) & 0xFF for i in range(48)) for y in range(400)])
        await printer.print([*LONG, picture, *LONG])
        assert rack.printer.overruns == 0
        assert rack.printer.peak < 4096
        lines = [line for line in rack.printer.paper.lines if line.startswith("line ")]
        assert lines == [line for _, line, _ in LONG] * 2

    run(main())


def test_status_says_what_the_switches_say(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        for switch, flag in [
            ("paper_out", "paper_out"),
            ("paper_low", "paper_low"),
            ("cover_open", "cover_open"),
            ("hot", "hot"),
        ]:
            assert not getattr(await printer.status(), flag)
            setattr(rack.printer, switch, True)
            assert getattr(await printer.status(), flag)
            setattr(rack.printer, switch, False)

    run(main())


@pytest.mark.parametrize(
    ("switch", "error"), [("paper_out", PaperOut), ("cover_open", CoverOpen), ("hot", PrinterHot)]
)
def test_trouble_before_the_start_is_named_and_nothing_is_sent(
    make: Make, switch: str, error: type[PrinterError]
) -> None:
    async def main() -> None:
        printer, rack = make()
        setattr(rack.printer, switch, True)
        with pytest.raises(error) as caught:
            await printer.print(rig.DOCUMENT)
        assert caught.value.done == 0
        setattr(rack.printer, switch, False)
        await aio.sleep_ms(5000)
        assert rack.printer.text() == ""
        await printer.print([("text", "now", "")])
        assert rack.printer.text() == "now"

    run(main())


@pytest.mark.parametrize(("switch", "error"), [("paper_out", PaperOut), ("cover_open", CoverOpen)])
def test_trouble_in_the_middle_ends_the_document(
    make: Make, switch: str, error: type[PrinterError]
) -> None:
    async def main() -> None:
        printer, rack = make()
        task = aio.spawn("print", printer.print(LONG))
        await aio.sleep_ms(2500)
        setattr(rack.printer, switch, True)
        with pytest.raises(error) as caught:
            await task.join()
        printed = rack.printer.paper.tear().lines
        assert 0 < len(printed) < len(LONG)
        assert 0 < caught.value.done <= len(printed)
        await aio.sleep_ms(10)  # what was sent last is under way
        setattr(rack.printer, switch, False)
        await aio.sleep_ms(10_000)
        assert rack.printer.text() == ""  # no half receipt comes out by itself
        await printer.print([("text", "again", "b")])
        assert rack.printer.text() == "again"

    run(main())


def test_a_hot_head_is_waited_for(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        task = aio.spawn("print", printer.print(LONG))
        await aio.sleep_ms(2000)
        rack.printer.hot = True
        await aio.sleep_ms(escpos.HOT_WAIT_MS // 2)
        rack.printer.hot = False
        await task.join()
        assert rack.printer.paper.lines[: len(LONG)] == [line for _, line, _ in LONG]

    run(main())


def test_a_head_that_does_not_cool_is_named(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        task = aio.spawn("print", printer.print(LONG))
        await aio.sleep_ms(2000)
        rack.printer.hot = True
        with pytest.raises(PrinterHot):
            await task.join()

    run(main())


def test_a_roll_that_ends_is_paper_out(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        rack.printer.rows_left = 30 * 40
        with pytest.raises(PaperOut) as caught:
            await printer.print(LONG)
        assert len(rack.printer.paper.lines) == 40
        # What is told as printed is; the rest of it is at most two marks of 512 bytes away.
        assert 40 - 2 * 512 // 17 <= caught.value.done <= 40

    run(main())


@pytest.mark.parametrize("rows", range(0, 1500, 60))
def test_what_is_said_to_be_on_paper_is(make: Make, rows: int) -> None:
    """Items of several kinds and lengths, the roll ending anywhere among them."""
    document = [
        item
        for i in range(12)
        for item in (
            ("text", f"item {i} " * (1 + i % 4 * 3), ""),
            ("feed", i % 3),
            ("image", 16, [b"\xff\x00"] * (i * 5)),
            ("text", f"mark-{i}", "b"),
        )
    ]

    async def main() -> None:
        printer, rack = make()
        rack.printer.rows_left = rows + 1
        try:
            await printer.print(document)
            done = len(document)
        except PaperOut as error:
            done = error.done
        text = rack.printer.text()
        for i in range(done // 4):
            assert f"mark-{i}" in text

    run(main())


def test_a_silent_printer_is_missing(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        rack.printer.mute = True
        with pytest.raises(PrinterMissing):
            await printer.status()
        with pytest.raises(PrinterMissing):
            await printer.print(rig.DOCUMENT)
        rack.printer.mute = False
        await printer.print([("text", "back", "")])
        assert "back" in rack.printer.text()

    run(main())


def test_a_cancelled_document_does_not_spoil_the_next(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        task = aio.spawn("print", printer.print([("image", 384, [b"\xaa" * 48] * 300)]))
        await aio.sleep_ms(333)
        task.cancel()
        await task.done.wait()
        await printer.print([("text", "next", "")])
        assert rack.printer.paper.lines[-1] == "next"

    run(main())


def test_a_printer_left_inside_a_picture_by_a_power_cut_recovers(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        rack.transfer("printer", 1, b"\x1dv0\x00\x30\x00\xff\x00" + bytes(100))
        await aio.sleep_ms(1000)
        await printer.print([("text", "first line", "")])
        assert rack.printer.text() == "first line"

    run(main())


def test_two_documents_at_once_come_out_one_after_the_other(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        one = [("text", f"a{i}", "") for i in range(30)]
        two = [("text", f"b{i}", "") for i in range(30)]
        await aio.gather(printer.print(one), printer.print(two))
        assert rack.printer.paper.lines == [line for _, line, _ in one + two]

    run(main())


def test_status_requests_hidden_in_a_picture_confuse_nobody(make: Make) -> None:
    async def main() -> None:
        printer, rack = make()
        row = b"\x10\x04\x04" * 16
        rack.printer.paper_low = True  # as an answer about the cover it would mean "open"
        await printer.print([("image", 384, [row] * 200), ("text", "end", "")])
        assert rack.printer.paper.lines[-1] == "end"
        status = await printer.status()
        assert not (status.paper_out or status.cover_open or status.hot or status.error)
        assert status.paper_low
        rack.printer.cover_open = True
        assert (await printer.status()).cover_open

    run(main())


@pytest.mark.parametrize("name", sorted(printer_profiles()))
def test_every_profile_prints_a_whole_document(name: str) -> None:
    async def main() -> None:
        data, says = rig.board(), printer_profiles()[name]
        data["printer"] = {**data["printer"], **says}
        rack = rig.rack(data)
        rack.printer.mute = not says["answers"]
        profile = Profile(
            says["columns"], says["dots"], says["chinese"], says["latin"], says["qr"],
            says["cutter"], says["answers"],
        )  # fmt: skip
        printer = EscposPrinter(WireSerial(rack, "printer", 115200), profile, says["buffer"])
        await printer.print([*rig.DOCUMENT, *LONG, ("text", "the end", "")])
        assert rack.printer.idle()
        assert (rack.printer.overruns, rack.printer.head.unknown) == (0, [])
        text = rack.printer.text()
        assert text.endswith("the end")
        for chinese in ("商店", "第149行"):
            assert (chinese in text) is (says["chinese"] != "raster")
        assert says["chinese"] != "raster" or text.count("[image") > len(LONG)

    run(main())


BAD: list[list[tuple[object, ...]]] = [
    [()],
    [("text", "x")],
    [("text", 5, "")],
    [("text", "x", "z")],
    [("pair", "x", "y")],
    [("feed", 21)],
    [("feed", -1)],
    [("feed", True)],
    [("barcode", "ean13", "690123456789X")],
    [("barcode", "ean13", "6901234567890")],
    [("barcode", "ean8", "123")],
    [("barcode", "itf", "123")],
    [("barcode", "code39", "lower")],
    [("barcode", "code128", "中")],
    [("barcode", "code128", "A" * 60)],
    [("barcode", "pdf417", "x")],
    [("qr", "")],
    [("qr", "x" * 3000)],
    [("image", 16, [b"\x00"])],
    [("image", 400, [bytes(50)])],
    [("image", 16, "rows")],
    [("video", 1)],
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad[0])[:40])
def test_a_malformed_document_is_refused_before_anything_is_printed(
    bad: list[tuple[object, ...]],
) -> None:
    async def main() -> None:
        printer, rack = _escpos(115200)()
        with pytest.raises(ValueError, match="document item 1"):
            await printer.print([("text", "good", ""), *bad])
        await aio.sleep_ms(1000)
        assert rack.printer.text() == ""

    run(main())


# Printers on USB


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("after_ms", [0, 5, 40, 700, 2000])
def test_a_plug_pulled_in_mid_receipt_is_named_and_the_next_receipt_is_whole(
    usb: Usb, after_ms: int, answers: bool
) -> None:
    async def main() -> None:
        printer, rack, node = usb(answers)
        task = aio.spawn("print", printer.print(LONG * 3))
        await aio.sleep_ms(after_ms)
        node.unplug()
        with pytest.raises(PrinterMissing) as caught:
            await task.join()
        await aio.sleep_ms(60_000)
        lines = rack.printer.paper.tear().lines
        assert caught.value.done <= len(lines) < 3 * len(LONG)
        node.plug()
        await printer.print([("text", "next", "")])
        assert rack.printer.paper.tear().lines[-1] == "next"

    run(main())


def test_a_silent_printer_that_is_unplugged_over_its_last_line_is_missing(usb: Usb) -> None:
    """Nothing is sent after it that would tell."""

    async def main() -> None:
        printer, rack, node = usb(False)
        task = aio.spawn("print", printer.print([*LONG[:2], ("feed", 10)]))
        while len(rack.printer.paper.lines) < 2:
            await aio.sleep_ms(1)
        node.unplug()
        with pytest.raises(PrinterMissing):
            await task.join()

    run(main())


def test_a_printer_that_is_not_plugged_in_or_anothers_is_named(usb: Usb) -> None:
    async def main() -> None:
        printer, rack, node = usb()
        node.unplug()
        for call in (printer.status(), printer.print(LONG)):
            with pytest.raises(PrinterMissing, match="lp0: No such file"):
                await call
        node.plug()
        other = node.open(usb_lp.PATH, 0)
        for call in (printer.status(), printer.print(LONG)):
            with pytest.raises(PrinterMissing, match="lp0: Device or resource busy"):
                await call
        os.close(other)
        await printer.print([("text", "now", "")])
        assert rack.printer.text() == "now"

    run(main())


# Printers that never answer


def test_a_printer_on_usb_without_answers_is_paced_by_its_paper(usb: Usb) -> None:
    async def main() -> None:
        printer, rack, _ = usb(False)
        await printer.print(LONG)
        assert rack.printer.idle() and rack.printer.overruns == 0
        assert rack.printer.paper.lines == [line for _, line, _ in LONG]

    run(main())


@pytest.mark.parametrize("baud", [9600, 115200])
def test_a_printer_without_answers_is_paced_by_its_paper(baud: int) -> None:
    async def main() -> None:
        data = rig.board()
        data["bus"]["uart1"]["baud"] = baud
        rack = rig.rack(data)
        rack.printer.mute = True
        printer = EscposPrinter(WireSerial(rack, "printer", baud), Profile(answers=False))
        picture = ("image", 384, [bytes((i * 7 + y) & 0xFF for i in range(48)) for y in range(400)])
        await printer.print([*LONG, picture, *LONG])
        assert rack.printer.idle()
        assert rack.printer.overruns == 0
        lines = [line for line in rack.printer.paper.lines if line.startswith("line ")]
        assert lines == [line for _, line, _ in LONG] * 2
        status = await printer.status()
        assert not (status.paper_out or status.error)
        task = aio.spawn("print", printer.print(LONG))
        await aio.sleep_ms(1000)
        task.cancel()
        await task.done.wait()
        await aio.sleep_ms(60_000)
        before, moved = printer.fed_mm, _moved(rack)
        await printer.print([("text", "next", "")])
        assert rack.printer.paper.lines[-1] == "next"
        assert rack.printer.head.unknown == []
        assert abs(printer.fed_mm - before - (_moved(rack) - moved)) <= 1

    run(main())
