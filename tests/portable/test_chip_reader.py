"""T=0 and T=1 below the card channel, against a slot that answers by script."""

from firmware import aio
from firmware.buses.card_slot import CardSlot
from firmware.buses.wire import BusError
from firmware.drivers.chip_reader import MOST_ROUNDS, ChipReader
from firmware.hal.card_reader import CardError, CardMute, CardRemoved, ReaderMissing

T0 = bytes.fromhex("3B6500004F50454E54")
T1 = bytes.fromhex("3BE500008131FE454F50454E54AE")


class ScriptSlot(CardSlot):
    """Answers with what stands next in ``answers``; None fails the transfer."""

    def __init__(
        self, answers: "list[str] | list[str | None]", protocol: int = 0, atr: "bytes | None" = None
    ) -> None:
        self.answers = [None if a is None else bytes.fromhex(a) for a in answers]
        self.protocol = protocol
        self.atr = atr if atr is not None else (T1 if protocol else T0)
        self.sent: "list[str]" = []
        self.card = True
        self.broken = False
        self.powered = False

    async def present(self) -> bool:
        if self.broken:
            raise BusError("gone")
        return self.card

    async def power_on(self) -> "tuple[bytes, int]":
        if self.atr == b"":
            raise BusError("mute")
        self.powered = True
        return self.atr, self.protocol

    async def power_off(self) -> None:
        if self.broken:
            raise BusError("gone")
        self.powered = False

    async def exchange(self, command: bytes) -> bytes:
        self.sent.append(command.hex().upper())
        answer = self.answers.pop(0)
        if answer is None:
            raise BusError("no answer")
        return answer


def _talk(slot: ScriptSlot, command: str) -> "tuple[str, int]":
    async def run() -> "tuple[bytes, int, int]":
        channel = await ChipReader(slot).power_on()
        return await channel.transmit(bytes.fromhex(command))

    data, sw, elapsed = aio.run(run())
    assert elapsed >= 0
    # MicroPython's b"".hex() is bytes, not str.
    return "".join([f"{byte:02X}" for byte in data]), sw


def _fails(slot: ScriptSlot, command: str) -> CardError:
    try:
        _talk(slot, command)
    except CardError as error:
        return error
    raise AssertionError("the command was answered")


def test_case_1_gets_a_zero_p3() -> None:
    slot = ScriptSlot(["9000"])
    assert _talk(slot, "001A0000") == ("", 0x9000)
    assert slot.sent == ["001A000000"]


def test_case_2_asks_again_with_the_length_of_6c() -> None:
    slot = ScriptSlot(["6C03", "0102039000"])
    assert _talk(slot, "00B2010C00") == ("010203", 0x9000)
    assert slot.sent == ["00B2010C00", "00B2010C03"]


def test_case_3_goes_as_it_is() -> None:
    slot = ScriptSlot(["63C2"])
    assert _talk(slot, "0020008008241234FFFFFFFFFF") == ("", 0x63C2)
    assert slot.sent == ["0020008008241234FFFFFFFFFF"]


def test_case_4_loses_le_and_fetches_what_61_announces() -> None:
    slot = ScriptSlot(["6104", "DEADBEEF9000"])
    assert _talk(slot, "00A4040002A00000") == ("DEADBEEF", 0x9000)
    assert slot.sent == ["00A4040002A000", "00C0000004"]


def test_61_in_parts() -> None:
    slot = ScriptSlot(["6102", "01026101", "039000"])
    assert _talk(slot, "00A4040002A00000") == ("010203", 0x9000)
    assert slot.sent[1:] == ["00C0000002", "00C0000001"]


def test_61_00_means_256() -> None:
    slot = ScriptSlot(["6100", "55" * 256 + "9000"])
    assert _talk(slot, "80AE800002000000") == ("55" * 256, 0x9000)
    assert slot.sent[1] == "00C0000000"


def test_get_response_may_get_6c() -> None:
    slot = ScriptSlot(["6102", "6C01", "079000"])
    assert _talk(slot, "00A4040002A00000") == ("07", 0x9000)
    assert slot.sent[1:] == ["00C0000002", "00C0000001"]


def test_a_warning_stays_the_status_of_the_command() -> None:
    slot = ScriptSlot(["6283", "6C02", "6F009000"])
    assert _talk(slot, "00A4040002A00000") == ("6F00", 0x6283)
    assert slot.sent == ["00A4040002A000", "00C0000000", "00C0000002"]


def test_a_warning_with_nothing_behind_it() -> None:
    slot = ScriptSlot(["6300", "6985"])
    assert _talk(slot, "00A4040002A00000") == ("", 0x6300)


def test_a_warning_to_case_3_is_final() -> None:
    slot = ScriptSlot(["6300"])
    assert _talk(slot, "0082000002ABCD") == ("", 0x6300)
    assert len(slot.sent) == 1


def test_errors_are_final() -> None:
    for status in ("6A82", "6985", "6700", "6F00", "6E00"):
        slot = ScriptSlot([status])
        assert _talk(slot, "00A4040002A00000") == ("", int(status, 16))


def test_t1_passes_apdus_whole() -> None:
    slot = ScriptSlot(["6F009000"], 1)
    assert _talk(slot, "00A4040002A00000") == ("6F00", 0x9000)
    assert slot.sent == ["00A4040002A00000"]
    slot = ScriptSlot(["6283"], 1)
    assert _talk(slot, "00A4040002A00000") == ("", 0x6283)
    slot = ScriptSlot(["6C02", "6F009000"], 1)
    assert _talk(slot, "00A4040002A00000") == ("6F00", 0x9000)
    assert slot.sent[1] == "00A4040002A00002"


def test_endless_procedures_end() -> None:
    slot = ScriptSlot(["6C01"] * 1000)
    assert isinstance(_fails(slot, "00B2010C00"), CardMute)
    assert len(slot.sent) == MOST_ROUNDS
    slot = ScriptSlot(["6101"] + ["006101"] * 1000)
    assert isinstance(_fails(slot, "00A4040002A00000"), CardMute)


def test_too_much_data_and_too_little_answer() -> None:
    slot = ScriptSlot(["6100", "55" * 256 + "6101", "009000"])
    assert isinstance(_fails(slot, "00A4040002A00000"), CardMute)
    assert isinstance(_fails(ScriptSlot(["90"]), "00B2010C00"), CardMute)
    assert isinstance(_fails(ScriptSlot([""]), "00B2010C00"), CardMute)


def test_6c_to_a_command_without_data_is_refused() -> None:
    slot = ScriptSlot(["6C02"] * 3)
    assert isinstance(_fails(slot, "0082000002ABCD"), CardMute)


def test_not_an_apdu() -> None:
    for bad in ("", "00A404", "00A4040002A0", "00A4040000AA", "00A4040002A0000000"):
        slot = ScriptSlot(["9000"])
        try:
            _talk(slot, bad)
        except ValueError:
            assert slot.sent == []
        else:
            raise AssertionError(bad)


def test_failed_transfer_says_why() -> None:
    slot = ScriptSlot([None])
    assert isinstance(_fails(slot, "00B2010C00"), CardMute)
    slot = ScriptSlot([None])
    channel = aio.run(ChipReader(slot).power_on())
    slot.card = False

    async def send() -> None:
        await channel.transmit(b"\x00\xb2\x01\x0c\x00")

    for _ in range(2):  # the channel stays dead
        try:
            aio.run(send())
        except CardRemoved:
            continue
        raise AssertionError("a card that left answered")
    assert len(slot.sent) == 1


def test_the_first_error_is_raised_again() -> None:
    slot = ScriptSlot([None, "9000"])

    async def run() -> "list[str]":
        channel = await ChipReader(slot).power_on()
        seen = []
        for _ in range(2):
            try:
                await channel.transmit(b"\x00\xb2\x01\x0c\x00")
            except CardError as error:
                seen.append(error.__class__.__name__)
        return seen

    assert aio.run(run()) == ["CardMute", "CardMute"]
    assert len(slot.sent) == 1


def test_reader_gone() -> None:
    slot = ScriptSlot([])
    slot.broken = True
    for wait in ("present", "wait_present", "wait_removed", "power_on", "power_off"):
        try:
            aio.run(getattr(ChipReader(slot), wait)())
        except ReaderMissing:
            continue
        raise AssertionError(wait)


def test_bad_answers_to_reset() -> None:
    for answer in (b"", b"\x3a\x00", T1[:-1] + b"\x00", b"\x3b\x80\x0e"):
        slot = ScriptSlot([], 0, answer)
        try:
            aio.run(ChipReader(slot).power_on())
        except CardMute:
            assert not slot.powered
            continue
        raise AssertionError(answer.hex())


def test_a_protocol_that_the_card_does_not_offer() -> None:
    slot = ScriptSlot([], 1, T0)
    try:
        aio.run(ChipReader(slot).power_on())
    except CardMute:
        return
    raise AssertionError("T=1 with a T=0 card")


def test_no_card() -> None:
    slot = ScriptSlot([])
    slot.card = False
    try:
        aio.run(ChipReader(slot).power_on())
    except CardRemoved:
        return
    raise AssertionError("no card was powered")


def test_channel_dies_with_power() -> None:
    slot = ScriptSlot(["9000"])

    async def run() -> None:
        reader = ChipReader(slot)
        channel = await reader.power_on()
        await reader.power_off()
        await channel.transmit(b"\x00\xb2\x01\x0c\x00")

    try:
        aio.run(run())
    except CardRemoved:
        assert slot.sent == []
        return
    raise AssertionError("a channel without power answered")
