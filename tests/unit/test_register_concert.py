"""Concert on the cable: what is taken for a request, and what a register is told."""

import asyncio
import os
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.errors import UserError
from host_tools.register.concert import (
    ACK,
    ENQ,
    EOT,
    ETX,
    FRAME_MS,
    NAK,
    STEP_MS,
    STX,
    Concert,
    ConcertRequest,
    ConcertRules,
    State,
    lrc,
)
from host_tools.register.gate import Gate
from tests.support.concert_register import Register
from tests.support.register_terminal import RegisterTerminal

TEXT = "0100001234010978TICKET0001A010B010"


def frame(text: str = TEXT) -> bytes:
    body = text.encode("latin-1") + bytes([ETX])
    return bytes([STX]) + body + bytes([lrc(body)])


def talk(machine: Concert, data: bytes, now_ms: int = 0) -> bytes:
    machine.feed(data, now_ms)
    out = bytes(machine.out)
    machine.out.clear()
    return out


def asked(text: str = TEXT) -> Concert:
    machine = Concert()
    assert talk(machine, bytes([ENQ])) == bytes([ACK])
    assert talk(machine, frame(text)) == bytes([ACK])
    assert machine.requests == []
    assert talk(machine, bytes([EOT])) == b""
    return machine


def test_a_golden_call_byte_by_byte() -> None:
    machine = Concert()
    call = bytes.fromhex("05") + bytes.fromhex(
        "02 30 31 30 30 30 30 31 32 33 34 30 31 30 39 37 38 54 49 43 4b 45 54 30 30 30 31"
        "41 30 31 30 42 30 31 30 03"
    )
    check = 0
    for byte in call[2:]:
        check ^= byte
    told = b"".join(talk(machine, bytes([byte])) for byte in call + bytes([check, 4]))
    assert told == bytes([ACK, ACK])
    (request,) = machine.requests
    assert (request.pos, request.amount, request.currency) == ("01", 1234, 978)
    assert not (request.with_card or request.at_once)
    machine.answer(request.answer("0", 1234), 0)
    answer = b"0100000123419" + b"78TICKET0001"
    assert talk(machine, b"") == bytes([ENQ])
    assert talk(machine, bytes([ACK])) == frame(answer.decode())
    assert len(frame(answer.decode())) == 28
    assert talk(machine, bytes([ACK])) == bytes([EOT])
    assert (machine.state, machine.delivered) == (State.IDLE, 1)


@pytest.mark.parametrize(
    "text, good",
    [
        (TEXT, True), (TEXT[:26], True), (TEXT[:27], False), (TEXT + "0", False),
        ("x1" + TEXT[2:], False), (TEXT[:10] + "2" + TEXT[11:], False),
        (TEXT[:26] + "A012B010", False), (TEXT[:26] + "A010B012", False),
        (TEXT[:2] + "0000123 " + TEXT[10:], False), (TEXT[:13] + "9x8" + TEXT[16:], False),
        ("", False), ("é" + TEXT[1:], False),
    ],
)  # fmt: skip
def test_only_a_whole_request_is_one(text: str, good: bool) -> None:
    assert (ConcertRequest.read(text) is not None) is good


def test_no_flipped_bit_makes_a_payment_and_a_repeat_mends_it() -> None:
    whole = bytes([ENQ]) + frame() + bytes([EOT])
    begun = []
    for place in range(len(whole) * 8):
        bad = bytearray(whole)
        bad[place // 8] ^= 1 << place % 8
        machine = Concert()
        machine.feed(bytes(bad), 0)
        if machine.requests:
            begun.append(place)
        machine.tick(60_000)
        machine.out.clear()
        talk(machine, b"", 60_000)
        if not machine.requests:
            assert asked_again(machine), place
    assert begun == []


def asked_again(machine: Concert) -> bool:
    """The register tries a whole call once more, EOT first as registers do."""
    machine.feed(bytes([EOT, ENQ]) + frame() + bytes([EOT]), 70_000)
    return [request.text for request in machine.requests] == [TEXT]


def test_two_errors_in_one_column_are_the_miss_that_a_check_byte_has() -> None:
    bad = bytearray(frame())
    bad[5] ^= 0x01
    bad[6] ^= 0x01
    machine = Concert()
    machine.feed(bytes([ENQ]) + bytes(bad) + bytes([EOT]), 0)
    assert len(machine.requests) == 1
    assert machine.requests[0].text != TEXT


@given(st.binary(max_size=120))
def test_noise_of_any_kind_never_ends_in_a_payment_or_a_dead_cable(noise: bytes) -> None:
    machine = Concert()
    machine.feed(noise, 0)
    assert len(machine.requests) <= 1
    machine.tick(10_000)
    if not machine.requests:
        assert asked_again(machine)


def test_steps_that_do_not_come_in_time_begin_anew() -> None:
    for part in (1, 10, 37, 38):
        machine = Concert()
        machine.feed((bytes([ENQ]) + frame())[:part], 0)
        assert machine.due == (FRAME_MS if 1 < part < 38 else STEP_MS)
        machine.tick(machine.due)
        assert machine.state is State.IDLE
        machine.feed(bytes([EOT]), machine.due or 5000)
        assert machine.requests == []


def test_a_second_call_waits_for_the_first_one() -> None:
    machine = asked()
    assert machine.due is None
    assert talk(machine, bytes([ENQ, STX])) == bytes([NAK])
    machine.answer(machine.requests[0].answer("7", 1234), 0)
    assert talk(machine, bytes([ENQ])) == bytes([ENQ, NAK])


def test_an_answer_that_is_not_taken_is_offered_three_times() -> None:
    machine = asked()
    machine.answer(machine.requests[0].answer("0", 1234), 0)
    offers, now = talk(machine, b""), 0
    while machine.due is not None:
        now = machine.due
        machine.tick(now)
        offers += talk(machine, b"", now)
    assert offers == bytes([ENQ, ENQ, ENQ, EOT]) and machine.undelivered == 1
    machine = asked()
    machine.answer(machine.requests[0].answer("0", 1234), 0)
    whole = frame("010000012341978TICKET0001")
    assert talk(machine, bytes([ACK, NAK, NAK, ACK]))[1:] == whole * 3 + bytes([EOT])
    assert machine.delivered == 1


# ---- on a pseudo-terminal, with the register of tests/support -----------------------------

needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")


async def shop(
    terminal: RegisterTerminal, play: Callable[[Register], list[str]], **rules: bool
) -> list[str]:
    import tty

    from host_tools.register.serial_port import ConcertPort

    outer, inner = os.openpty()
    tty.setraw(outer)
    tty.setraw(inner)
    gate = Gate(terminal.reach)
    port = ConcertPort(gate, os.ttyname(inner), rules=ConcertRules(**rules))
    await port.open()
    serving = asyncio.ensure_future(port.serve())
    try:
        return await asyncio.to_thread(play, Register(outer))
    finally:
        await port.close()
        await serving
        await gate.close()
        os.close(outer)
        os.close(inner)


@needs_pty
def test_a_register_on_the_cable_is_paid_refused_and_told_of_the_card() -> None:
    async def main() -> None:
        terminal = RegisterTerminal()

        def play(r: Register) -> list[str]:
            good = [r.pay(1000), r.pay(1000, flag="1")]
            bad = [r.pay(1124), r.pay(1000, mode="C"), r.pay(1000, kind="2")]
            bad += [r.pay(1000, currency="156"), r.pay(0)]
            return [*good, *bad, r.pay(500, delay="A011")]

        answers = await shop(terminal, play)
        results = [answer[2] for answer in answers]
        assert results == ["0", "0", "7", "7", "7", "7", "7", "0"]
        assert answers[0] == "010000010001978TICKET0001"
        assert answers[1][12:67].strip() == "622848******0014"
        assert [given[3] for given in terminal.started] == [1000, 1000, 1124, 500]
        assert len({given[1] for given in terminal.started}) == 4

    asyncio.run(main())


@needs_pty
def test_rules_for_registers_that_want_an_answer_at_once_or_the_authorisation() -> None:
    async def main() -> None:
        terminal = RegisterTerminal()

        def play(r: Register) -> list[str]:
            return [r.pay(700), r.pay(700, delay="A011")]

        answers = await shop(terminal, play, at_once=True, authorisation=True)
        assert answers[0].endswith("978A1B2C3    ")
        assert answers[1][2] == "9" and answers[1].endswith("TICKET0001")

    asyncio.run(main())


def test_a_port_that_is_none_is_named() -> None:
    from host_tools.register.serial_port import ConcertPort

    gate = Gate(RegisterTerminal().reach)
    with pytest.raises(UserError, match="8N1, 7E1"):
        ConcertPort(gate, "/dev/none", frame="8E1")
    with pytest.raises(UserError, match="/dev/none"):
        asyncio.run(ConcertPort(gate, "/dev/none").open())
