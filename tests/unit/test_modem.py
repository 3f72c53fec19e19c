"""The AT modem's driver against the virtual modem: SIMs, networks, faults, a real pty."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys

import pytest

from firmware import aio
from firmware.buses.serial_linux import LinuxSerial
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError
from firmware.drivers import modem_scripts as scripts
from firmware.drivers.at_channel import AtChannel
from firmware.drivers.at_engine import AtError, Command
from firmware.drivers.at_modem import AtModem
from firmware.hal import bearer
from firmware.hal.bearer import (
    BearerError,
    BearerMute,
    NoService,
    RegistrationDenied,
    SimMissing,
    SimPinNeeded,
    SimPukNeeded,
)
from firmware.hal.mobile import MobileSettings
from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.chips.modem_families import FAMILIES
from host_tools.emulator.modem_pty import EchoEnd, ModemServer, now_us
from tests.support.modem_rig import EchoCarrier, ModemRig
from tests.support.virtual_time import run

# ---- the chip alone ---------------------------------------------------------------------


def _dialogue(family: str, *said: bytes) -> bytes:
    """What the chip answers to bytes at its wire, five seconds after each."""
    now = 0
    chip = AtModemChip(lambda: now, family, 1, EchoEnd)
    port = chip.port(0)
    heard = b""
    for text in said:
        port.transfer(1, text)
        for _ in range(500):
            now += 10_000
            heard += port.transfer(2, b"\xff\x00")[0]
    return heard


def test_the_chip_speaks_as_v250_says() -> None:
    assert _dialogue("ec25", b"AT\r") == b"AT\r\r\nOK\r\n"
    assert _dialogue("ec25", b"ATE0\r", b"AT+CGMM\r") == b"ATE0\r\r\nOK\r\n\r\nEC25\r\n\r\nOK\r\n"
    assert _dialogue("ec25", b"ATE0\r", b"AT+NONE\r").endswith(b"\r\nERROR\r\n")
    assert _dialogue("ec25", b"ATE0\r", b"AT+CMEE=1\r", b"AT+SPIC\r").endswith(b"+CME ERROR: 4\r\n")
    both = _dialogue("ec25", b"ATE0\r", b'AT+CMEE=1;+CGDCONT=1,"IP","a;b";+CGDCONT?\r')
    assert b'\r\n+CGDCONT: 1,"IP","a;b","0.0.0.0",0,0\r\n\r\nOK\r\n' in both
    # The SIM's number, as its file has it; a file that is not there.
    files = _dialogue(
        "ec25", b"ATE0\r", b"AT+CRSM=176,12258,0,0,10\r", b"AT+CRSM=176,28589,0,0,4\r"
    )
    assert b'+CRSM: 144,0,"98680000000000000071"\r\n\r\nOK' in files and b": 106,130\r\n" in files
    # Data mode: an echo, an escape between pauses, back on line, hang up.
    call = _dialogue("sim7600", b"ATE0\r", b"ATD*99#\r", b"a+++b", b"+++", b"ATO\r", b"x")
    assert call.endswith(b"\r\nCONNECT 115200\r\nA+++B\r\nOK\r\n\r\nCONNECT 115200\r\nX")


# ---- SIM --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_pin_is_entered_once(family: str) -> None:
    async def main() -> None:
        rig = ModemRig(family, pin="1234")
        rig.chip.sim, rig.chip.sim_pin = "pin", "1234"
        await rig.modem.start(40_000)
        assert await rig.carrier.alive(2000)
        assert rig.chip.log.count('AT+CPIN="1234"') == 1

    run(main())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_wrong_pin_is_tried_once_in_a_lifetime(family: str) -> None:
    async def main() -> None:
        rig = ModemRig(family, pin="9999")
        rig.chip.sim, rig.chip.sim_pin = "pin", "1234"
        for level in ("power", "usb", "power", "modem"):
            with pytest.raises(SimPinNeeded):
                await rig.modem.start(40_000)
            with pytest.raises(SimPinNeeded):
                await rig.modem.reset(level, 90_000)
        # Another terminal, or this one after a restart: the SIM remembers.
        again = AtModem(rig.modem._line._port, EchoCarrier(), "cmnet", "9999")
        with pytest.raises(SimPinNeeded, match="2 tries left"):
            await again.start(40_000)
        assert rig.chip.tries == 2
        assert (await rig.modem.status()).cause == "sim_pin"
        # Typed by hand: the same one is not tried, the right one is.
        with pytest.raises(SimPinNeeded, match="refused before"):
            await rig.modem.enter_pin("9999")
        with pytest.raises(ValueError, match="4 to 8"):
            await rig.modem.enter_pin("99x9")
        await rig.modem.enter_pin("1234")
        await rig.modem.start(40_000)
        await rig.modem.enter_pin("1234")  # nothing to enter: harmless
        assert await rig.carrier.alive(2000)

    run(main())


def test_the_last_try_is_never_taken() -> None:
    async def main() -> None:
        rig = ModemRig()
        rig.chip.sim, rig.chip.sim_pin, rig.chip.tries = "pin", "1234", 1
        with pytest.raises(SimPinNeeded, match="none is set"):
            await rig.modem.start(40_000)
        with pytest.raises(SimPinNeeded, match="one try is left"):
            await rig.modem.enter_pin("1234")
        assert rig.chip.tries == 1

    run(main())


def test_without_a_count_of_tries_a_pin_is_only_entered_by_hand() -> None:
    async def main() -> None:
        rig = ModemRig("generic", pin="1234")
        rig.chip.sim, rig.chip.sim_pin = "pin", "1234"
        rig.chip.faults.refuse["+CPINR"] = 4
        with pytest.raises(SimPinNeeded, match="enter it by hand"):
            await rig.modem.start(40_000)
        await rig.modem.enter_pin("1234")
        await rig.modem.start(40_000)

    run(main())


def test_a_lost_answer_to_the_pin_is_no_refusal_while_all_tries_are_left() -> None:
    async def main() -> None:
        rig = ModemRig(pin="1234")
        rig.chip.sim, rig.chip.sim_pin = "pin", "1234"
        rig.chip.faults.late_us = {"+CPIN": 9_000_000}
        with pytest.raises(BearerError):
            await rig.modem.start(12_000)
        rig.chip.faults.late_us = {}
        await aio.sleep_ms(20_000)
        rig.chip.sim = "pin"  # as if the entry itself had been lost
        await rig.modem.start(40_000)
        # Without a count nobody knows; then one entry is all there is.
        unsaid = ModemRig("generic")
        unsaid.chip.sim, unsaid.chip.sim_pin = "pin", "1234"
        unsaid.chip.faults.refuse["+CPINR"] = 4
        for text in ("refused its PIN", "refused before"):
            with pytest.raises(SimPinNeeded, match=text):
                await unsaid.modem.enter_pin("9999")
        assert unsaid.chip.tries == 2

    run(main())


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize(
    ("sim", "error", "cause"), [("absent", SimMissing, "no_sim"), ("puk", SimPukNeeded, "sim_puk")]
)
def test_no_sim_and_puk(family: str, sim: str, error: type[BearerError], cause: str) -> None:
    async def main() -> None:
        rig = ModemRig(family, pin="1234")
        rig.chip.sim = sim
        with pytest.raises(error):
            await rig.modem.start(40_000)
        status = await rig.modem.status()
        assert (status.state, status.cause) == (bearer.DOWN, cause)
        with pytest.raises(error):
            await rig.modem.enter_pin("1234")

    run(main())


# ---- network ----------------------------------------------------------------------------


def test_denied_roaming_and_no_network() -> None:
    async def main() -> None:
        rig = ModemRig()
        rig.chip.faults.registration = 3
        with pytest.raises(RegistrationDenied):
            await rig.modem.start(40_000)
        rig.chip.faults.registration = 0
        with pytest.raises(NoService) as caught:
            await rig.modem.start(10_000)
        assert caught.value.cause == "no_service"
        rig.chip.faults.registration = 5
        await rig.modem.start(40_000)
        status = await rig.modem.status()
        assert status.roaming and status.state == bearer.UP
        home = ModemRig(roaming=False)
        home.chip.faults.registration = 5
        with pytest.raises(NoService, match="roaming is off"):
            await home.modem.start(40_000)

    run(main())


def test_the_context_is_written_only_when_it_differs() -> None:
    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        await rig.modem.reset("power", 60_000)
        assert [line for line in rig.chip.log if "CGDCONT=" in line] == [
            'AT+CGDCONT=1,"IP","cmnet"'
        ]

    run(main())


def test_what_the_menu_sets_up_counts_from_the_next_start() -> None:
    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        assert rig.modem.settings.apn == "cmnet"
        rig.modem.set_up(MobileSettings("", roaming=False), "1234")
        assert (await rig.modem.status()).state == bearer.UP
        await rig.modem.stop()
        await rig.modem.start(40_000)
        assert rig.chip.context == ("IP", "")  # the SIM's own
        rig.chip.faults.registration = 5
        await rig.modem.stop()
        with pytest.raises(NoService, match="roaming is off"):
            await rig.modem.start(40_000)
        with pytest.raises(ValueError, match="does not say who"):
            rig.modem.set_up(MobileSettings("cmnet", "shop", "secret"), "")  # this carrier
        for bad in (("a b",), ("x" * 101,), ("cmnet", "é"), ("cmnet", "", "p" * 65)):
            with pytest.raises(ValueError, match="APN"):
                MobileSettings(*bad)
        await rig.modem.wipe()
        await rig.modem.stop()
        rig.chip.sim, rig.chip.sim_pin = "pin", "1234"
        with pytest.raises(SimPinNeeded, match="none is set"):
            await rig.modem.start(40_000)

    run(main())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_sim_is_asked_without_a_try(family: str) -> None:
    async def main() -> None:
        rig = ModemRig(family)
        told = {}
        for sim in ("ready", "absent", "pin", "puk"):
            rig.chip.sim = sim
            found = await rig.modem.sim()
            told[found.state] = found.tries
        assert told == {"ready": None, "no_sim": None, "sim_pin": 3, "sim_puk": None}
        rig.chip.sim = "ready"
        await rig.modem.start(40_000)
        asked = rig.chip.log.count("AT+CPIN?")
        assert (await rig.modem.sim()).state == "ready"  # its call says so
        await rig.modem.stop()
        rig.chip.faults.mute = True
        assert (await rig.modem.sim()).state == "mute"
        assert rig.chip.log.count("AT+CPIN?") == asked and rig.chip.tries == 3

    run(main())


def test_a_call_that_the_network_ends() -> None:
    async def main() -> None:
        for ports in (1, 2):
            rig = ModemRig(ports=ports)
            rig.chip.faults.drop_calls = True
            await rig.modem.start(40_000)
            await aio.sleep_ms(1500)
            assert not await rig.carrier.alive(1000)
            status = await rig.modem.status()
            assert (status.state, status.cause) == (bearer.DOWN, "no_carrier")
            rig.chip.faults.drop_calls = False
            await rig.modem.start(40_000)
            assert await rig.carrier.alive(1000)

    run(main())


def test_a_call_whose_far_end_hangs_up() -> None:
    async def main() -> None:
        for ports in (1, 2):
            rig = ModemRig(ports=ports)
            await rig.modem.start(40_000)
            far = rig.chip.port(ports - 1).call
            assert isinstance(far, EchoEnd)
            far.closed = True
            await aio.sleep_ms(1500)
            assert not await rig.carrier.alive(1000)
            assert (await rig.modem.status()).state == bearer.DOWN
            await rig.modem.start(40_000)
            assert await rig.carrier.alive(1000)

    run(main())


def test_registration_that_takes_50_minutes_and_a_toggle_that_helps() -> None:
    async def main() -> None:
        rig = ModemRig()
        rig.chip.faults.slow_us = 50 * 60_000_000
        with pytest.raises(NoService) as caught:
            await rig.modem.start(30_000)
        assert caught.value.cause == "searching"
        await rig.modem.reset("radio", 45_000)
        assert await rig.carrier.alive(1000)
        patient = ModemRig()
        patient.chip.faults.slow_us = 50 * 60_000_000
        await patient.modem.start(51 * 60_000)
        assert await patient.carrier.alive(1000)

    run(main())


def test_a_call_of_an_earlier_life_is_ended() -> None:
    async def main() -> None:
        for ports in (1, 2):
            rig = ModemRig(ports=ports)
            await rig.modem.start(40_000)
            # The terminal restarts; the modem does not.
            data = rig.modem._call._port if ports == 2 else None
            anew = AtModem(rig.modem._line._port, EchoCarrier(), "cmnet", data_port=data)
            await anew.start(40_000)
            assert rig.far[0].closed and not rig.far[1].closed

    run(main())


# ---- faults -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("ports", [1, 2])
@pytest.mark.parametrize("fault", ["noise", "gap", "storm", "late", "cme"])
def test_it_comes_up_in_spite_of(family: str, ports: int, fault: str) -> None:
    async def main() -> None:
        rig = ModemRig(family, ports)
        faults = rig.chip.faults
        if fault == "noise":
            faults.echo_noise = 4
        elif fault == "gap":
            faults.gap_us = 4000
        elif fault == "storm":
            faults.storm_us = 9_000
        elif fault == "late":
            faults.late_us = {"+CPIN": 4_000_000, "+CGDCONT": 1_900_000, "+CEREG": 1_500_000}
        else:
            faults.refuse = {"+CGREG": 3, "+CSQ": 4, "+COPS": 3, "+CREG": 4, "+CESQ": 100}
        for _ in range(12):
            try:
                await rig.modem.start(60_000)
                break
            except BearerError:
                await rig.modem.stop()
        faults.echo_noise = 0
        assert await rig.carrier.alive(4000)

    run(main())


def test_answers_in_the_wrong_order_never_cross() -> None:
    async def main() -> None:
        rig = ModemRig(ports=1)
        line = AtChannel(rig.modem._line._port, scripts.URCS)
        await line.sync()
        rig.chip.faults.wrong_order = True
        answer = await line.ask(Command(b"AT+CSQ", b"+CSQ:"))
        assert answer.ok and answer.lines == []
        answer = await line.ask(Command(b"AT+CGMM", b""))
        assert b"+CSQ: 26,99" not in answer.lines
        rig.chip.faults.wrong_order = False
        answer = await line.ask(Command(b"AT+CSQ", b"+CSQ:"))
        assert answer.lines == [b"+CSQ: 26,99"]

    run(main())


def test_a_late_answer_is_drained() -> None:
    async def main() -> None:
        rig = ModemRig(ports=1)
        line = AtChannel(rig.modem._line._port, scripts.URCS)
        rig.chip.faults.late_us = {"+COPS": 3_000_000}
        with pytest.raises(AtError, match=r"no answer to AT\+COPS\?"):
            await line.ask(scripts.OPERATOR)
        answer = await line.ask(Command(b"AT+CSQ", b"+CSQ:"))
        assert answer.lines == [b"+CSQ: 26,99"]
        assert line.engine.late >= 1

    run(main())


#: 13, 60, 62, 73 and 83 need the proof of a doubtful line.
@pytest.mark.parametrize("seed", [*range(14), 60, 62, 73, 83])
def test_no_answer_crosses_however_late(seed: int) -> None:
    """Answers so late that questions pile up, a modem that is told to boot in between."""

    async def main() -> None:
        fate = random.Random(seed)
        rig = ModemRig(ports=1, seed=seed)
        line = AtChannel(rig.modem._line._port, scripts.URCS)
        asked = {
            b"AT+CSQ": b"+CSQ: 26,99", b"AT+QPINC=\"SC\"": b'+QPINC: "SC",3,10',
            b"AT+COPS?": b"+COPS: 0", b"AT+CGMM": b"EC25", b"AT+CGMI": b"Quectel",
            b"AT+CGMR": b"EC25EFAR06A06M4G", b"AT+CGSN": b"861234050000017",
        }  # fmt: skip
        answered = 0
        for _ in range(60):
            name = fate.choice(("+CSQ", "+CGMM", "+CGSN", "+CMEE", "+CSCS", "+COPS"))
            rig.chip.faults.late_us = {name: fate.choice((0, 900_000, 3_000_000, 12_000_000))}
            text, expected = fate.choice(sorted(asked.items()))
            try:
                answer = await line.ask(Command(text, b""))
            except (AtError, BearerMute):
                if fate.randrange(3) == 0:
                    line.restart()
                continue
            if answer.ok:  # before ATE0 and after it alike
                answered += 1
                assert len(answer.lines) == 1 and answer.lines[0].startswith(expected)
        assert answered > 10

    run(main())


def test_a_pin_is_in_no_error_text() -> None:
    async def main() -> None:
        rig = ModemRig(pin="1234")
        rig.chip.sim, rig.chip.sim_pin = "pin", "1234"
        rig.chip.faults.late_us = {"+CPIN": 5_500_000}
        with pytest.raises(BearerError) as caught:
            await rig.modem.start(60_000)
        assert "1234" not in str(caught.value)

    run(main())


def test_dead_after_the_radio_was_switched() -> None:
    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        rig.chip.faults.mute_after_radio = True
        with pytest.raises(BearerMute):
            await rig.modem.reset("radio", 45_000)
        await rig.modem.reset("power", 60_000)
        assert await rig.carrier.alive(2000)

    run(main())


def test_a_modem_that_restarts_by_itself_is_set_up_anew() -> None:
    async def main() -> None:
        for ports in (1, 2):
            rig = ModemRig(ports=ports)
            await rig.modem.start(40_000)
            rig.chip.act("brown-out")
            await aio.sleep_ms(20_000)
            assert not await rig.carrier.alive(2000)
            await rig.modem.reset("bearer", 40_000)
            assert await rig.carrier.alive(2000)
            assert rig.chip.log.count("ATE0") >= 2
            assert (await rig.modem.status()).state == bearer.UP

    run(main())


def test_a_status_during_a_start_asks_nobody() -> None:
    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        resetting = aio.spawn("reset", rig.modem.reset("radio", 40_000))
        await aio.sleep_ms(100)
        started = aio.ticks_ms()
        assert (await rig.modem.status()).state == bearer.DOWN
        assert aio.elapsed_ms(started) == 0
        await resetting.join()
        assert (await rig.modem.status()).state == bearer.UP

    run(main())


class JunkPort(SerialPort):
    """Answers each write with whatever chance brings."""

    WORDS = (
        b"\r\nOK\r\n", b"\r\nERROR\r\n", b"\r\n+CME ERROR: 14\r\n", b"\r\n+CPIN: READY\r\n",
        b"\r\n+CMEE: 1\r\n\r\nOK\r\n", b'\r\n+CSCS: "IRA"\r\n\r\nOK\r\n', b"\r\nCONNECT\r\n",
        b"\r\n+CPIN: SIM PIN\r\n", b"\r\n+CEREG: 0,1\r\n\r\nOK\r\n", b"\r\n+CREG: ", b"\xff" * 40,
        b"\r\n+CGATT: 1\r\n\r\nOK\r\n", b"\r\nNO CARRIER\r\n", b"\x00", b"x" * 2000, b"> ", b"\n",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self._fate = random.Random(seed)
        self._back = b""

    async def write(self, data: bytes) -> int:
        for _ in range(self._fate.randrange(4)):
            self._back += self._fate.choice(self.WORDS)
        if self._fate.randrange(60) == 0:
            raise BusError("the port broke")
        return self._fate.randrange(len(data) + 1)

    async def read(self, most: int, timeout_ms: int | None = None) -> bytes:
        while not self._back:
            await aio.sleep_ms(20)
        data, self._back = self._back[:most], self._back[most:]
        return data


@pytest.mark.parametrize("seed", range(30))
def test_nonsense_is_an_error_with_a_cause_in_time(seed: int) -> None:
    async def main() -> None:
        modem = AtModem(JunkPort(seed), EchoCarrier(), "cmnet", "1234")
        for level in ("", *modem.levels):
            started = aio.ticks_ms()
            try:
                if level:
                    await modem.reset(level, 20_000)
                else:
                    await modem.start(20_000)
            except BearerError as error:
                assert error.cause in bearer.CAUSES and error.cause
            assert aio.elapsed_ms(started) <= 21_000
            assert (await modem.status()).cause in bearer.CAUSES
            await modem.stop()
        with contextlib.suppress(BearerError):
            assert len(await modem.messages()) <= 16

    run(main())


# ---- a real pseudo-terminal ---------------------------------------------------------------


def test_the_linux_serial_port_talks_to_it_on_a_pseudo_terminal() -> None:
    async def main() -> None:
        chip = AtModemChip(now_us, "ec25", 2, EchoEnd)
        chip.register_us = 0
        async with ModemServer(chip, 2) as server:
            ports = [LinuxSerial(path, 115200) for path in server.paths]
            carrier = EchoCarrier()
            modem = AtModem(ports[0], carrier, "cmnet", data_port=ports[1])
            try:
                await modem.start(60_000)
                assert await carrier.alive(10_000)
                status = await modem.status()
                assert (status.state, status.operator) == (bearer.UP, "OPEN MOBILE")
            finally:
                for port in ports:
                    await port.close()

    asyncio.run(main())


def test_the_command_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "host_tools.emulator.modem_pty", "--family", "a7670"]
    with subprocess.Popen([*command, "--ports", "1"], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        handle = os.open(served.stdout.readline().strip(), os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(handle, b"ATE0\rAT+CGMM\r")
            heard = b""
            while not heard.endswith(b"A7670E-FASE\r\n\r\nOK\r\n"):
                heard += os.read(handle, 200)
        finally:
            os.close(handle)
            served.send_signal(signal.SIGINT)
        assert served.wait(60) == 0
    failed = subprocess.run(
        [*command, "--device", "/dev/no-such-port"], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert failed.returncode == 1 and "/dev/no-such-port" in failed.stdout


@pytest.mark.parametrize(
    ("family", "ports", "told"),
    [("sim7600", 2, (120, 3400)), ("sim7600", 1, (120, 3400)), ("generic", 2, (120, 3400))],
)
def test_a_modem_that_counts_nothing_has_its_carrier_s_bytes(
    family: str, ports: int, told: tuple[int, int]
) -> None:
    async def main() -> None:
        rig = ModemRig(family, ports)
        await rig.modem.start(60_000)
        status = await rig.modem.status()
        assert (status.sent, status.received) == (-1, -1)  # this carrier counts nothing either
        rig.carrier.counters = lambda: told  # type: ignore[method-assign]
        status = await rig.modem.status()
        assert (status.sent, status.received) == told
        await rig.modem.stop()
        status = await rig.modem.status()
        assert (status.sent, status.received) == told

    run(main())
