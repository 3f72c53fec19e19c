"""The modem's driver on both interpreters, against a port that answers from a list."""

from firmware import aio
from firmware.buses.data_line import Carrier
from firmware.buses.serial_port import SerialPort
from firmware.drivers.at_modem import AtModem
from firmware.hal import bearer
from firmware.hal.bearer import BearerMute
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
