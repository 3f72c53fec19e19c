"""PN532 frames, its commands and the reader on it, against a port that answers by script."""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.drivers import pn532
from firmware.drivers.pn532 import TYPE_A, TYPE_B, Pn532, RfFault, parse_targets
from firmware.drivers.pn532_frame import ACK, LONGEST, NACK, TO_HOST, FrameReader, encode
from firmware.drivers.pn532_port import Pn532Port
from firmware.drivers.pn532_reader import Pn532Reader
from firmware.hal.card_reader import CardMute, CardRemoved, ReaderMissing
from firmware.hal.contactless import ManyCards, NoTap
from tests.portable.virtual_run import raised, run

#: As real chips sent them.
FIRMWARE = bytes.fromhex("0000FF06FAD50332010607E800")
SYNTAX_ERROR = bytes.fromhex("0000FF01FF7F8100")
ATS = bytes.fromhex("0A788070024F50454E54")
CARD_A = bytes.fromhex("010004200411223344") + ATS
ATQB = bytes.fromhex("501122334400000000008171")
CARD_B = b"\x01" + ATQB + b"\x01\x00"
PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"


def found(stream, step=1):
    """Everything a reader finds when ``stream`` comes ``step`` bytes at a time."""
    reader = FrameReader()
    got = []
    for at in range(0, len(stream), step):
        reader.feed(stream[at : at + step])
        while True:
            one = reader.next()
            if one is None:
                break
            got.append(one)
    return got


def test_frames_as_the_manual_has_them():
    assert encode(b"\x02") == bytes.fromhex("0000FF02FED4022A00")
    assert encode(b"\x14\x01\x00\x00") == bytes.fromhex("0000FF05FBD4140100001700")
    assert encode(b"\x4a\x01\x00") == bytes.fromhex("0000FF04FCD44A0100E100")
    assert found(FIRMWARE) == [("data", bytes.fromhex("D50332010607"))]
    assert found(ACK) == [("ack", b"")]
    assert found(NACK) == [("nack", b"")]
    assert found(SYNTAX_ERROR) == [("error", b"")]


def test_normal_and_extended_frames_of_every_length():
    for count in (1, 2, 100, 253, 254, 255, 256, 263, 264):
        data = bytes([(7 * i) & 0xFF for i in range(count)])
        frame = encode(data, TO_HOST)
        extended = frame[3:5] == b"\xff\xff"
        assert extended == (count + 1 > 255)
        assert len(frame) == count + 1 + (10 if extended else 7)
        for step in (1, 7, 300):
            assert found(frame, step) == [("data", bytes((TO_HOST,)) + data)]
    for bad in (b"", bytes(LONGEST)):
        try:
            encode(bad)
        except ValueError:
            continue
        raise AssertionError(len(bad))


def test_a_short_frame_may_come_extended():
    assert found(bytes.fromhex("0000FFFFFF0002FED5151600")) == [("data", b"\xd5\x15")]
    assert found(bytes.fromhex("0000FFFFFF0003FED5151600")) == [("bad", b"")]
    assert found(bytes.fromhex("0000FFFFFF0000000000")) == [("bad", b"")]
    too_long = bytes.fromhex("0000FFFFFF010AF5") + bytes(300)
    assert found(too_long)[0] == ("bad", b"")


def test_what_stands_between_frames_is_passed_over():
    noise = b"\x55\x00\x00\x00\xaa"
    frame = encode(b"\x15", TO_HOST)
    good = [("data", b"\xd5\x15")]
    assert found(noise + frame + noise + ACK + bytes(9)) == good + [("ack", b"")]
    assert found(b"\xff" * 20 + frame) == good
    # A false start costs a note, never the frame behind it.
    assert found(b"\x00\xff\x13\x14" + frame) == [("bad", b"")] + good


def test_damage_in_any_byte_is_never_taken_for_an_answer():
    frame = encode(b"\x41\x00\x6f\x00\x90\x00", TO_HOST)
    for at in range(2, len(frame) - 1):
        for flip in (0x01, 0x80, 0xFF):
            broken = frame[:at] + bytes((frame[at] ^ flip,)) + frame[at + 1 :]
            for kind, body in found(broken + bytes(300)):
                assert kind != "data", (at, flip, body)


def test_a_frame_that_is_cut_short_is_known_to_be_inside():
    frame = encode(b"\x41\x00\x90\x00", TO_HOST)
    for count in range(len(frame)):
        reader = FrameReader()
        reader.feed(frame[:count])
        while reader.next() is not None:
            pass
        assert reader.inside == (3 <= count < len(frame) - 1), count
        reader.clear()
        assert not reader.inside


def test_listed_cards():
    assert parse_targets(TYPE_A, b"\x00") == []
    assert parse_targets(TYPE_A, b"") == []
    one = parse_targets(TYPE_A, b"\x01" + CARD_A)
    assert [(t.number, t.answer) for t in one] == [(1, ATS)]
    plain = bytes.fromhex("0200440007") + b"1234567"
    two = parse_targets(TYPE_A, b"\x02" + CARD_A + plain)
    assert [(t.number, t.answer) for t in two] == [(1, ATS), (2, b"")]
    two = parse_targets(TYPE_B, b"\x02" + CARD_B + CARD_B)
    assert [t.answer for t in two] == [ATQB, ATQB]
    for kind, whole in ((TYPE_A, b"\x01" + CARD_A), (TYPE_B, b"\x01" + CARD_B)):
        for count in range(1, len(whole)):
            try:
                parse_targets(kind, whole[:count])
            except ValueError:
                continue
            raise AssertionError(count)


def test_status_bytes_have_names():
    assert str(RfFault(0x01)) == "pn532: status 01 (the card does not answer)"
    assert str(RfFault(0x0B)) == "pn532: status 0B (RF protocol)"
    assert str(RfFault(0x2E)) == "pn532: status 2E (NAD)"
    assert str(RfFault(0x3F)) == "pn532: status 3F (unknown)"


class ScriptPort(Pn532Port):
    """``answers``: for each command code what comes, a list of parts in turn or, when
    one is left, again and again; "gone" fails the transfer. The rest is answered as a
    chip in good order would."""

    def __init__(self, answers=None):
        self.answers = answers or {}
        self.sent = []
        self.coming = []
        self.gone = False

    def codes(self):
        return [data[0] for data in self.sent]

    async def wake(self):
        if self.gone:
            raise BusError("no acknowledge")

    async def write(self, frame):
        if self.gone:
            raise BusError("no acknowledge")
        kind, body = found(frame)[0]
        if kind == "ack":
            self.coming = []
        elif kind == "nack":
            self.coming.append(self.last)
        else:
            self.sent.append(body[1:])
            self.last = encode(bytes((body[1] + 1,)) + self._answer(body[1:]), TO_HOST)
            self.coming = [ACK, self.last]

    def _answer(self, command):
        code = command[0]
        if code in self.answers:
            parts = self.answers[code]
            return parts.pop(0) if len(parts) > 1 else parts[0]
        return {0x02: b"\x32\x01\x06\x07", 0x4A: b"\x00", 0x40: b"\x00\x90\x00"}.get(code, b"")

    async def read(self, most, timeout_ms):
        if self.gone:
            raise BusError("no acknowledge")
        if self.coming:
            await aio.sleep_ms(1)
            return self.coming.pop(0)
        await aio.sleep_ms(timeout_ms)
        return b""


def test_the_chip_is_woken_and_set_once():
    port = ScriptPort()
    chip = Pn532(port)

    async def main():
        await chip.field(True)
        await chip.field(False)

    run(main())
    assert port.sent == [
        b"\x14\x01\x00\x00", b"\x02", b"\x32\x05\xff\x01\x01", b"\x32\x01\x00",
        b"\x32\x01\x01", b"\x32\x01\x00",
    ]  # fmt: skip


def test_another_chip_in_its_place_is_named():
    for version in (b"\x07\x01\x06\x07", b"\x32", b""):
        chip = Pn532(ScriptPort({0x02: [version]}))
        assert "another chip" in str(raised(BusError, chip.field(True)))


def test_an_apdu_goes_out_once_and_answers_in_parts_are_joined():
    port = ScriptPort({0x40: [b"\x40" + bytes(262), b"\x40" + bytes(262), b"\x00\x90\x00"]})
    assert run(Pn532(port).exchange(1, b"\x00\xb0\x00\x00\x00")) == bytes(524) + b"\x90\x00"
    assert port.sent[-3:] == [b"\x40\x01\x00\xb0\x00\x00\x00", b"\x40\x01", b"\x40\x01"]


def test_a_long_command_goes_in_parts():
    port = ScriptPort({0x40: [b"\x00", b"\x00", b"\x00\x90\x00"]})
    command = bytes([i & 0xFF for i in range(600)])
    assert run(Pn532(port).exchange(2, command)) == b"\x90\x00"
    parts = port.sent[-3:]
    assert [part[1] for part in parts] == [0x42, 0x42, 0x02]
    assert b"".join([part[2:] for part in parts]) == command


def test_an_answer_without_end_ends():
    port = ScriptPort({0x40: [b"\x40" + bytes(262)]})
    assert "without end" in str(raised(BusError, Pn532(port).exchange(1, b"\x00\xb0\x00\x00")))


def test_an_answer_of_empty_parts_ends_in_time():
    port = ScriptPort({0x40: [b"\x40"]})
    at_once = port.read

    async def dawdling(most, timeout_ms):
        await aio.sleep_ms(90)
        return await at_once(most, timeout_ms)

    async def main():
        began = aio.ticks_ms()
        port.read = dawdling
        try:
            await Pn532(port).exchange(1, b"\x00\xb0\x00\x00")
            raise AssertionError("no error")
        except BusError as error:
            assert "without end" in str(error)
        assert aio.elapsed_ms(began) < pn532.BUSY_MS + 1000

    run(main())


class LatePort(ScriptPort):
    """A chip that is late with everything, one command after the other."""

    late_ms = 150

    def __init__(self, answers):
        super().__init__(answers)
        self.due = []

    async def write(self, frame):
        await super().write(frame)
        if not self.coming:
            self.due = []  # aborted
        for what in self.coming:
            self.due.append((aio.ticks_ms(), what))

    def drop(self):
        while self.due and aio.elapsed_ms(self.due[0][0]) >= self.late_ms:
            self.due.pop(0)

    async def read(self, most, timeout_ms):
        left = self.late_ms - aio.elapsed_ms(self.due[0][0]) if self.due else timeout_ms
        await aio.sleep_ms(max(1, min(left, timeout_ms)))
        return self.due.pop(0)[1] if self.due and left <= timeout_ms else b""


def test_a_late_answer_is_not_taken_for_the_next_look():
    port = LatePort({0x4A: [b"\x00", b"\x01" + CARD_A]})
    port.late_ms = 1

    async def main():
        chip = Pn532(port)
        await chip.field(True)
        port.late_ms = 150
        for kind in (TYPE_B, TYPE_A, TYPE_B):
            try:
                await chip.list_targets(kind, 2)
                raise AssertionError("an old answer")
            except pn532.ChipSilent:
                pass
        port.late_ms = 1
        assert [target.answer for target in await chip.list_targets(TYPE_A, 2)] == [ATS]

    run(main())


def test_status_of_an_exchange():
    chip = Pn532(ScriptPort({0x40: [b"\x01"]}))
    assert raised(RfFault, chip.exchange(1, PPSE)).status == 1
    assert "status" in str(raised(BusError, Pn532(ScriptPort({0x40: [b""]})).exchange(1, PPSE)))
    nad = Pn532(ScriptPort({0x40: [b"\x80\x90\x00"]}))
    assert run(nad.exchange(1, PPSE)) == b"\x90\x00"


def test_a_silent_chip_is_asked_a_bounded_number_of_times():
    port = ScriptPort()
    port.read = silence
    raised(pn532.ChipSilent, Pn532(port).field(True))
    assert port.codes() == [0x14] * 3


async def silence(most, timeout_ms):
    await aio.sleep_ms(timeout_ms)
    return b""


def test_a_tap_by_either_type():
    looks_a = [b"\x00", b"\x01" + CARD_A]
    looks_b = [b"\x01" + CARD_B, b"\x00", b"\x01" + CARD_B]
    for kind, cards, answer in (("A", looks_a, ATS), ("B", looks_b, ATQB)):
        port = ScriptPort({0x4A: cards, 0x40: [b"\x00\x6f\x00\x90\x00"]})

        async def main(port=port):
            channel = await Pn532Reader(Pn532(port)).wait_tap(1000)
            return channel.kind, channel.atr, (await channel.transmit(PPSE))[:2]

        assert run(main()) == (kind, answer, (b"\x6f\x00", 0x9000))
        assert port.sent[-1] == b"\x40\x01" + PPSE


def test_a_chip_without_type_b_is_not_asked_for_it():
    port = ScriptPort({0x02: [b"\x32\x01\x06\x05"], 0x4A: [b"\x01" + CARD_A]})
    run(Pn532Reader(Pn532(port)).wait_tap(1000))
    assert [data for data in port.sent if data[0] == 0x4A] == [b"\x4a\x02\x00"]


def test_named_endings_of_a_wait():
    raised(NoTap, Pn532Reader(Pn532(ScriptPort())).wait_tap(200))
    raised(
        ManyCards,
        Pn532Reader(Pn532(ScriptPort({0x4A: [b"\x01" + CARD_B, b"\x01" + CARD_A]}))).wait_tap(),
    )
    plain = ScriptPort({0x4A: [b"\x00", b"\x01\x01\x00\x04\x08\x04abcd"]})
    raised(CardMute, Pn532Reader(Pn532(plain)).wait_tap())
    left = ScriptPort({0x4A: [b"\x01" + CARD_B, b"\x00"]})
    raised(CardMute, Pn532Reader(Pn532(left)).wait_tap())
    gone = ScriptPort()
    gone.gone = True
    raised(ReaderMissing, Pn532Reader(Pn532(gone)).wait_tap())
    cut = ScriptPort({0x4A: [b"\x01\x50"]})
    raised(ReaderMissing, Pn532Reader(Pn532(cut)).wait_tap())


def test_a_failed_apdu_says_whether_the_card_is_there():
    for behind, kind in (([b"\x00"], CardRemoved), ([b"\x00", b"\x01" + CARD_A], CardMute)):
        port = ScriptPort({0x4A: [b"\x00", b"\x01" + CARD_A] + behind, 0x40: [b"\x01"]})

        async def main(port=port):
            channel = await Pn532Reader(Pn532(port)).wait_tap()
            await channel.transmit(PPSE)

        raised(kind, main())
        assert port.sent[-1] == b"\x32\x01\x00"


class Pulses:
    """A reset pin that counts."""

    def __init__(self):
        self.count = 0

    async def cycle(self):
        self.count += 1


def test_a_reset_pin_is_pulsed_after_a_failure_only():
    pulses = Pulses()
    port = ScriptPort()
    chip = Pn532(port, pulses)
    run(chip.field(True))
    assert pulses.count == 0
    port.gone = True
    raised(BusError, chip.field(True))
    raised(BusError, chip.field(True))
    port.gone = False
    run(chip.field(True))
    assert pulses.count == 1


def test_a_closed_chip_has_no_field():
    port = ScriptPort()
    chip = Pn532(port)
    run(chip.close())
    assert port.sent[-1] == b"\x32\x01\x00"
    port.gone = True
    run(chip.close())
