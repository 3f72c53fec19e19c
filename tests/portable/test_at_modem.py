"""The modem's driver on both interpreters, against a port that answers from a list."""

from firmware import aio
from firmware.buses.data_line import Carrier
from firmware.buses.serial_port import PolledSerial, SerialPort
from firmware.drivers.at_engine import SYNCS
from firmware.drivers.at_modem import AtModem
from firmware.hal import bearer
from firmware.hal.bearer import BearerMute
from firmware.hal.mobile import READY
from tests.portable.virtual_run import run

ANSWERS = {
    b"AT+CMEE?": b"+CMEE: 1",
    b"AT+CGMM": b"A7670E-FASE",
    b"AT+CPIN?": b"+CPIN: READY",
    b"AT+CGDCONT?": b'+CGDCONT: 1,"IP","cmnet","0.0.0.0",0,0',
    b"AT+CEREG?": b"+CEREG: 0,5",
    b"AT+CESQ": b"+CESQ: 99,99,255,255,20,56",
    b"AT+COPS?": b'+COPS: 0,5,"VISITED",7',
    b"AT+CGPADDR=1": b"+CGPADDR: 1,10.9.8.7",
    b"AT+CMGL=4": b"+CMGL: 3,0,,24\r\n"
    b"07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37",
}


class ListedPort(SerialPort):
    """Answers whole lines of ANSWERS, everything else with OK."""

    def __init__(self):
        self.back = b""
        self.line = b""
        self.mute = False
        self.said = []

    async def write(self, data):
        for index in range(len(data)):
            char = data[index : index + 1]
            if char != b"\r":
                self.line += char
                continue
            text, self.line = self.line, b""
            if not text or self.mute:
                continue
            self.said.append(text)
            if text in ANSWERS:
                self.back += b"\r\n" + ANSWERS[text] + b"\r\n"
            self.back += b"\r\nCONNECT\r\n" if text.startswith(b"ATD") else b"\r\nOK\r\n"
        return len(data)

    async def read(self, most, timeout_ms=None):
        while not self.back:
            await aio.pause_ms(5)
        data, self.back = self.back[:7], self.back[7:]
        return data


class Given(Carrier):
    """An address without any words."""

    async def up(self, line):
        return "10.9.8.7"

    async def down(self):
        return None


def test_up_status_messages_and_silence():
    async def main():
        port, data = ListedPort(), ListedPort()
        modem = AtModem(port, Given(), "cmnet", data_port=data)
        await modem.start(40000)
        status = await modem.status()
        assert (status.state, status.bars, status.operator) == (bearer.UP, 4, "VISITED")
        assert status.roaming and status.address == "10.9.8.7"
        assert modem.family.name == "a7670" and b"ATD*99#" in data.said
        messages = await modem.messages()
        assert [message.text for message in messages] == ["hellohello"]
        assert port.said[-1] == b"AT+CMGD=3"
        port.mute = data.mute = True
        assert (await modem.status()).cause == "mute"
        try:
            await modem.reset("radio", 9000)
            raise AssertionError("no error")
        except BearerMute as error:
            assert error.cause == "mute"

    run(main())


class ToldPort(ListedPort):
    """Answers otherwise than ANSWERS, or after ``late_ms``, or only once told to."""

    def __init__(self, other=None, late_ms=0, quiet=False):
        super().__init__()
        self.other = other or {}
        self.late_ms = late_ms
        self.mute = quiet

    async def write(self, data):
        if b"ATQ0V1" in data:
            self.mute = False
        kept = dict(ANSWERS)
        ANSWERS.update(self.other)
        try:
            return await super().write(data)
        finally:
            ANSWERS.update(kept)

    async def read(self, most, timeout_ms=None):
        if self.late_ms and not self.back:
            while not self.back:
                await aio.pause_ms(5)
            await aio.sleep_ms(self.late_ms)
        return await super().read(most, timeout_ms)


def made(port, pin=""):
    return AtModem(port, Given(), "cmnet", pin, data_port=ListedPort())


def test_a_model_is_known_though_the_modem_speaks_in_between():
    async def main():
        for said in (b"A7670E-FASE\r\n\r\nPB DONE", b"+NEWS: 1\r\nA7670E-FASE\r\n+NEWS: 2"):
            modem = made(ToldPort({b"AT+CGMM": said}))
            await modem.start(40000)
            assert modem.model == "A7670E-FASE" and modem.family.name == "a7670"

    run(main())


def test_messages_that_were_taken_are_told_though_the_modem_falls_silent():
    class Last(ListedPort):
        async def write(self, data):
            self.mute = self.mute or b"AT+CMGD" in data
            return await super().write(data)

    async def main():
        modem = made(Last())
        await modem.start(40000)
        assert [message.text for message in await modem.messages()] == ["hellohello"]
        try:
            await modem.messages()
            raise AssertionError("no error")
        except BearerMute:
            pass

    run(main())


def test_a_status_is_there_in_time_and_slow_is_not_mute():
    async def main():
        port = ToldPort()
        modem = made(port)
        await modem.start(40000)
        for late_ms, mute in ((600, False), (1900, False), (0, True)):
            port.late_ms, port.mute, port.back = late_ms, mute, b""
            began = aio.ticks_ms()
            status = await modem.status()
            assert aio.elapsed_ms(began) <= bearer.STATUS_MS + 10, late_ms
            assert status.cause == ("mute" if mute else ""), late_ms

    run(main())


def test_a_modem_that_was_told_to_give_no_results():
    async def main():
        told = {}
        for question, prefix in SYNCS:
            told[question] = prefix + b" 1"
        modem = made(ToldPort(told, quiet=True))
        await modem.start(40000)
        assert (await modem.status()).state == bearer.UP

    run(main())


def test_what_a_start_looked_for_in_vain_may_come():
    async def main():
        port = ToldPort({b"AT+CEREG?": b"+CEREG: 0,2", b"AT+CGREG?": b"+CGREG: 0,2"})
        modem = made(port)
        try:
            await modem.start(9000)
            raise AssertionError("no error")
        except bearer.NoService as error:
            assert error.cause == "searching"
        assert (await modem.status()).cause == "searching"
        assert (await modem.sim()).state == READY
        await modem.enter_pin("1234")  # that nobody asked for
        assert (await modem.status()).cause == "searching"
        port.other = {}
        assert (await modem.status()).cause == "no_carrier"

    run(main())


class FloodingPort(PolledSerial):
    """Faster than anybody reads: there is always more."""

    def __init__(self):
        self.taken = 0

    def _take(self, most):
        self.taken += 1
        if self.taken > 5000:
            raise AssertionError("nobody else gets a turn")
        return b"+CREG: 1\r\n"

    async def write(self, data):
        return len(data)


def test_a_flood_holds_nobody_up():
    async def turns():
        for _ in range(100):
            await aio.sleep_ms(0)

    async def main():
        port = FloodingPort()
        modem = made(port)
        name, _ = await aio.first(("flood", modem.start(5000)), ("turns", turns()))
        assert name == "turns"

    run(main())
