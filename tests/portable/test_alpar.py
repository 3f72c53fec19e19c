"""The card reader coprocessor on both interpreters, against a port that answers by script."""

from firmware import aio
from firmware.buses import alpar_frames
from firmware.buses.alpar import AlparSlot, NotAlpar, ReaderSilent
from firmware.buses.alpar_frames import FrameReader, Refused, encode
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError
from tests.portable.virtual_run import run

T0 = bytes.fromhex("3B6500004F50454E54")
T1 = bytes.fromhex("3BE500008131FE454F50454E54AE")


class ScriptedPort(SerialPort):
    """Answers each opcode with what stands next for it, as bytes on the line."""

    def __init__(self, atr=T0):
        self.answers = {0x0A: b"07", 0x09: b"\x01", 0x4D: b"", 0x6E: atr, 0x0C: b""}
        self.raw = []
        self.back = b""
        self.sent = []
        self.dead = False

    async def write(self, data):
        if self.dead:
            raise BusError("unplugged")
        self.sent.append(data)
        if self.raw:
            self.back += self.raw.pop(0)
        elif data[3] in self.answers:
            self.back += encode(data[3], self.answers[data[3]])
        return len(data)

    async def read(self, most, timeout_ms=None):
        if self.dead:
            raise BusError("unplugged")
        if not self.back:
            await aio.pause_ms(timeout_ms)
        data, self.back = self.back[:7], self.back[7:]
        return data

    def drop_input(self):
        self.back = b""


def raises(error, work):
    async def main():
        try:
            await work
        except error as caught:
            return str(caught)
        raise AssertionError("no error")

    return run(main())


def test_frames():
    assert encode(0x69) == bytes.fromhex("6000006909")
    assert encode(0x6E, b"\x00") == bytes.fromhex("6000016E000F")
    reader = FrameReader()
    reader.feed(
        b"\x00\xe0\x01\x2c" + encode(0x09, b"\xc0", alpar_frames.NAK) + encode(0xA0, b"\x01")
    )
    assert reader.next() is None
    reader.give_up()
    frame = reader.next()
    assert (frame.ack, frame.opcode, frame.data) == (False, 0x09, b"\xc0")
    frame = reader.next()
    assert (frame.ack, frame.opcode, frame.data) == (True, 0xA0, b"\x01")
    assert reader.next() is None and not reader.waiting
    assert alpar_frames.cause(0x81) == "card silent" and alpar_frames.cause(1) == "cause 01"


async def on_and_off(atr, protocol):
    port = ScriptedPort(atr)
    slot = AlparSlot(port)
    assert await slot.present() is True
    assert await slot.power_on() == (atr, protocol)
    port.answers[0] = b"\x6f\x00\x90\x00"
    assert await slot.exchange(b"\x00\xa4\x04\x00\x00") == b"\x6f\x00\x90\x00"
    port.answers[0x09] = b"\x00"
    assert await slot.present() is False
    await slot.power_off()
    ifsd = [frame for frame in port.sent if frame[3] == 0x0C]
    assert len(ifsd) == protocol


def test_a_card_on_and_off():
    run(on_and_off(T0, 0))
    run(on_and_off(T1, 1))


def test_refusals_silence_and_wrong_devices_have_names():
    port = ScriptedPort()
    slot = AlparSlot(port)
    port.raw = [encode(0x0A, b"07"), encode(0x4D), encode(0x6E, b"\x80", alpar_frames.NAK)]
    assert "card mute at reset" in raises(Refused, slot.power_on())
    assert "no power" in raises(BusError, slot.exchange(b"\x00\xa4\x04\x00\x00"))
    port.answers[0x09] = b"\x07"
    assert "malformed" in raises(BusError, slot.present())
    port.answers.clear()
    assert "nothing answers" in raises(ReaderSilent, slot.present())
    port.raw = [b"\r\nERROR\r\n"] * 3
    assert "no ALPAR reader" in raises(NotAlpar, slot.present())
    port.dead = True
    assert "unplugged" in raises(BusError, slot.present())


def test_a_lost_answer_is_not_asked_for_again_and_needs_a_reset():
    port = ScriptedPort()
    slot = AlparSlot(port)

    async def main():
        await slot.power_on()

    run(main())
    count = len(port.sent)
    assert "no answer" in raises(BusError, slot.exchange(b"\x00\xa4\x04\x00\x00"))
    assert len(port.sent) == count + 1
    assert "no power" in raises(BusError, slot.exchange(b"\x00\xa4\x04\x00\x00"))


def test_noise_that_looks_like_a_header_does_not_swallow_the_answer():
    port = ScriptedPort()
    slot = AlparSlot(port)
    port.raw = [b"\x60\x01\x2c\x00" + encode(0x0A, b"07")]

    async def main():
        assert await slot.present() is True

    run(main())
    assert len(port.sent) == 2
