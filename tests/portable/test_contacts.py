"""A card's contacts on a bare serial port, on both interpreters: a card that answers by script."""

from firmware import aio
from firmware.buses import atr, atr_emv, t1_session
from firmware.buses.card_line import CardLine
from firmware.buses.contact_slot import ContactSlot
from firmware.buses.pins import Pins
from firmware.buses.serial_port import SerialPort
from firmware.buses.t0_exchange import T0Error, T0Exchange
from firmware.buses.t1_session import T1Error, T1Session
from firmware.buses.wire import BusError
from tests.portable.virtual_run import run

T0 = bytes.fromhex("3B6500004F50454E54")
T1 = bytes.fromhex("3BE500008131FE454F50454E54AE")


class Contacts(SerialPort, Pins):
    """Port and pins at once. ``says``: what the card sends after each write of so many bytes."""

    baud = 9600

    def __init__(self, answer, says):
        self.answer = answer
        self.says = says
        self.heard = b""
        self.back = b""
        self.levels = {}
        self.card = True
        self.modes = []

    def mode(self, pin, mode):
        pass

    def write_pin(self, pin, level):
        if pin == 2 and level and not self.levels.get(2):
            self.back += self.answer
        self.levels[pin] = level

    def read_pin(self, pin):
        return 0 if self.card else 1

    def set_mode(self, baud, parity, stop):
        self.modes.append((baud, parity, stop))

    async def write(self, data):
        self.back += data
        self.heard += data
        while self.says and len(self.heard) >= self.says[0][0]:
            count, said = self.says.pop(0)
            self.heard = self.heard[count:]
            self.back += said
        return len(data)

    async def read(self, most, timeout_ms=None):
        if not self.back:
            await aio.pause_ms(timeout_ms)
        data, self.back = self.back[:most], self.back[most:]
        return data

    def drop_input(self):
        pass


class ItsPins(Pins):
    """The pins of Contacts."""

    def __init__(self, contacts):
        self.contacts = contacts

    def mode(self, pin, mode):
        pass

    def write(self, pin, level):
        self.contacts.write_pin(pin, level)

    def read(self, pin):
        return self.contacts.read_pin(pin)


def slot_of(contacts):
    return ContactSlot(CardLine(contacts, ItsPins(contacts), (0, 0), (1, 0), (2, 0)))


def raises(error, function, *args):
    try:
        function(*args)
    except error as caught:
        return str(caught)
    raise AssertionError("no error")


def test_answers_to_reset():
    for whole in (T0, T1):
        for end in range(len(whole)):
            assert 0 < atr.missing(whole[:end]) <= len(whole) - end
        assert atr.missing(whole) == 0
    found = atr_emv.parameters(atr.parse(T1), False)
    assert (found.protocol, found.ifsc, found.bwi, found.cwi) == (1, 254, 4, 5)
    assert "TB1" in raises(
        atr.AtrError, atr_emv.parameters, atr.parse(bytes.fromhex("3B00")), False
    )


def test_t0_without_a_line():
    exchange = T0Exchange(bytes.fromhex("00200080021234"))
    exchange.feed(b"\x60\xdf")
    assert exchange.send == b"\x12"
    exchange.feed(b"\xdf")
    assert exchange.send == b"\x34"
    exchange.feed(b"\x90\x00")
    assert exchange.done and exchange.response == b"\x90\x00"
    raises(T0Error, T0Exchange(bytes.fromhex("00B2010C01")).feed, b"\x17")


def test_t1_without_a_line():
    session = T1Session(16)
    block = t1_session.block
    first = session.begin(bytes(range(20)))
    assert first == block(0x20, bytes(range(16)))
    assert session.take(b"\x00\x90\x00") == block(0x82)
    assert session.take(block(0x80)) == first
    assert session.take(block(0x90)) == block(0x40, bytes(range(16, 20)))
    assert session.take(block(0xC3, b"\x02")) == block(0xE3, b"\x02")
    assert session.wtx == 2
    assert session.take(block(0x20, b"a")) == block(0x90)
    assert session.take(block(0x40, b"\x90\x00")) == b""
    assert session.done and session.response == b"a\x90\x00"
    session.begin(b"\x00\x84\x00\x00\x00")
    session.take(b"")
    session.take(b"")
    assert "3 bad" in raises(T1Error, session.take, b"")


async def one_command(answer, says, command, expected, protocol):
    contacts = Contacts(answer, says)
    slot = slot_of(contacts)
    assert await slot.present()
    assert await slot.power_on() == (answer, protocol)
    assert await slot.exchange(command) == expected
    assert contacts.modes[-1] == (9600, "even", 2)
    contacts.card = False
    try:
        await slot.exchange(command)
    except BusError as error:
        assert "left" in str(error)
    else:
        raise AssertionError("no error")
    assert contacts.levels[1] == 1  # no supply


def test_a_command_on_the_line():
    command = bytes.fromhex("00B2010C02")
    run(one_command(T0, [(5, b"\xb2ab\x90\x00")], command, b"ab\x90\x00", 0))
    block = t1_session.block
    says = [(5, block(0xE1, b"\xfe")), (9, block(0, b"ab\x90\x00"))]
    run(one_command(T1, says, command, b"ab\x90\x00", 1))


def turned(data):
    """As the other convention reads it."""
    result = bytearray()
    for byte in data:
        other = 0
        for bit in range(8):
            other = other << 1 | (~byte >> bit & 1)
        result.append(other)
    return bytes(result)


async def inverse():
    contacts = Contacts(turned(b"\x3f" + T0[1:]), [(5, turned(b"\xb2ab\x90\x00"))])
    slot = slot_of(contacts)
    assert await slot.power_on() == (b"\x3f" + T0[1:], 0)
    assert contacts.modes[-1] == (9600, "odd", 2)
    assert await slot.exchange(bytes.fromhex("00B2010C02")) == b"ab\x90\x00"


def test_the_inverse_convention():
    assert turned(b"\x3f") == b"\x03"
    run(inverse())


async def noisy():
    block = t1_session.block
    good = block(0, b"ab\x90\x00")
    says = [(5, block(0xE1, b"\xfe")), (9, good[:-1] + b"\x00" + bytes(700)), (4, good)]
    contacts = Contacts(T1, says)
    slot = slot_of(contacts)
    await slot.power_on()
    assert await slot.exchange(bytes.fromhex("00B2010C02")) == b"ab\x90\x00"


def test_noise_behind_a_broken_block_is_waited_out():
    run(noisy())


def test_a_mute_card():
    slot = slot_of(Contacts(b"", []))

    async def main():
        try:
            await slot.power_on()
        except BusError as error:
            return str(error)
        return ""

    assert "silent" in run(main())
