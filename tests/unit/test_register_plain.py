"""Caisse-AP and MIS: fields and records, and the small servers around them."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.errors import UserError
from host_tools.register import caisse_ap, mis
from host_tools.register.caisse_ap import NotCaisse
from host_tools.register.gate import Gate
from host_tools.register.guard import Place, place_of
from host_tools.register.plain_server import PlainServer, caisse_server, mis_server
from tests.support.register_terminal import RegisterTerminal

ASKED = {"CJ": "012345678901", "CA": "01", "CE": "978", "CD": "0", "CB": "1000"}
#: As Odoo's module sends it.
GOLDEN = b"CZ0040300CJ012012345678901CA00201CE003978CD0010CB0041000"


def here(name: str = "caisse_ap", **more: Any) -> Place:
    return place_of(name, "127.0.0.1:0", more.get("clients", []), plain=True)


def answered(raw: bytes, terminal: RegisterTerminal | None = None) -> dict[str, str]:
    async def main() -> bytes:
        gate = Gate((terminal or RegisterTerminal()).reach, patience_s=0)
        try:
            return await caisse_ap.answer(gate, raw)
        finally:
            await gate.close()

    return caisse_ap.fields(asyncio.run(main()))


def test_a_golden_caisse_payment() -> None:
    assert caisse_ap.message(ASKED) == GOLDEN
    terminal = RegisterTerminal()
    told = answered(GOLDEN, terminal)
    assert list(told) == [
        "CZ",
        "CJ",
        "CA",
        "CB",
        "CD",
        "CE",
        "AE",
        "AF",
        "AA",
        "AC",
        "AI",
        "CC",
        "CI",
    ]
    assert told == {
        "CZ": "0300", **ASKED, "AE": "10", "AF": "01", "AA": "622848******0014", "AC": "A1B2C3",
        "AI": "A000000333010102", "CC": "00U", "CI": "1",
    }  # fmt: skip
    assert terminal.started[0][3] == 1000


@pytest.mark.parametrize(
    "change, reason",
    [({"CB": "1124"}, "04"), ({"CE": "156"}, "13"), ({"CE": "EUR"}, "13"), ({"CD": "1"}, "12"),
     ({"CD": "2"}, "12"), ({"CC": "00C"}, "12"), ({"CB": "0"}, "09"), ({"CB": "1,0"}, "09")],
)  # fmt: skip
def test_caisse_refusals_are_not_done_and_echo_the_request(
    change: dict[str, str], reason: str
) -> None:
    asked = {**ASKED, **change}
    told = answered(caisse_ap.message(asked))
    assert (told["AE"], told["AF"]) == ("01", reason)
    assert all(told[tag] == asked[tag] for tag in ("CA", "CB", "CD", "CE"))


def test_caisse_busy_cut_off_and_gone() -> None:
    terminal = RegisterTerminal()
    terminal.keyed = 5
    assert answered(GOLDEN, terminal)["AF"] == "07"
    terminal = RegisterTerminal()
    terminal.cut()
    assert answered(GOLDEN, terminal)["AF"] == "07"


@pytest.mark.parametrize(
    "raw",
    [b"", b"CZ004", b"CZ00403", b"cz0040300", b"CZ0040300CZ0040300", b"\xff" * 9, GOLDEN[9:],
     GOLDEN[:-1], GOLDEN + b"CB", b"CZ999" + b"0" * 999, GOLDEN.replace(b"CE003978", b"")],
)  # fmt: skip
def test_no_caisse_request_at_all(raw: bytes) -> None:
    with pytest.raises(NotCaisse):
        answered(raw)


def test_a_changed_bit_that_plain_text_lets_through_is_in_the_echo_that_registers_compare() -> None:
    """There is no check byte: of 440 single bits, 156 leave a request of these fields. What they
    change of register, amount, action or currency comes back in the answer."""
    through = 0
    for place in range(len(GOLDEN) * 8):
        bad = bytearray(GOLDEN)
        bad[place // 8] ^= 1 << place % 8
        if not caisse_ap.complete(bytes(bad)):
            continue
        through += 1
        asked, told = caisse_ap.fields(bytes(bad)), answered(bytes(bad))
        for tag in ("CA", "CB", "CD", "CE"):
            assert told[tag] == asked[tag]
    assert through == 156


async def ask(port: int, *parts: bytes, end: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    if end:
        writer.write_eof()
    try:
        return await reader.read()
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


def served(
    make: Callable[..., PlainServer],
    story: Callable[[PlainServer, RegisterTerminal], Awaitable[None]],
    place: Place | None = None,
    **more: Any,
) -> None:
    async def main() -> None:
        terminal = RegisterTerminal(more.pop("currency", 978))
        gate = Gate(terminal.reach)
        server = make(gate, place or here(), **more)
        await server.open()
        try:
            await story(server, terminal)
        finally:
            await server.close()
            await gate.close()

    asyncio.run(main())


def test_caisse_over_tcp_in_pieces_and_from_two_registers() -> None:
    async def story(server: PlainServer, terminal: RegisterTerminal) -> None:
        assert b"AE00210" in await ask(server.port, GOLDEN)
        assert b"AE00210" in await ask(server.port, GOLDEN[:7], GOLDEN[7:30], GOLDEN[30:])
        # A cheque is none of ours, though its last field comes late.
        assert b"AE00201" in await ask(server.port, GOLDEN, b"CC00300C")
        terminal.go.clear()
        first = asyncio.create_task(ask(server.port, GOLDEN))
        while terminal.sale is None:
            await asyncio.sleep(0)
        assert b"AE00201AF00207" in await ask(server.port, GOLDEN)
        terminal.go.set()
        assert b"AE00210" in await first
        assert await ask(server.port, b"x" * 2000) in (b"", b"reset")
        assert await ask(server.port, b"CZ", end=True) in (b"", b"reset")

    served(caisse_server, story)


def test_slow_and_unknown_clients_are_hung_up_on() -> None:
    async def slow(server: PlainServer, terminal: RegisterTerminal) -> None:
        assert await ask(server.port, b"CZ00") in (b"", b"reset")
        assert terminal.asked == []

    served(caisse_server, slow, request_s=0.05)

    async def silent(server: PlainServer, terminal: RegisterTerminal) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()
        assert terminal.asked == []

    for make in (caisse_server, mis_server):
        served(make, silent, request_s=600, first_s=0.05)

    async def stranger(server: PlainServer, terminal: RegisterTerminal) -> None:
        assert await ask(server.port, GOLDEN) in (b"", b"reset")
        assert terminal.asked == []

    served(caisse_server, stranger, here(clients=["192.0.2.1"]))


# ---- MIS ----------------------------------------------------------------------------------


def test_records_have_the_published_widths() -> None:
    assert (mis.REQUEST_BYTES, mis.RESPONSE_BYTES) == (159, 148)


def responded(record: bytes, terminal: RegisterTerminal | None = None) -> dict[str, Any]:
    async def main() -> bytes:
        gate = Gate((terminal or RegisterTerminal(156)).reach, patience_s=0)
        try:
            return await mis.answer(gate, record)
        finally:
            await gate.close()

    raw = asyncio.run(main())
    assert len(raw) == mis.RESPONSE_BYTES
    return mis.unpack(mis.RESPONSE, raw)


def test_a_golden_mis_sale() -> None:
    record = b"POS00001CASH000100000000001234" + b" " * 26 + b"777" + b" " * 100
    assert mis.unpack(mis.REQUEST, record)["amount"] == 1234
    told = responded(record)
    assert told == {
        "code": "00", "issuer": "", "card": "622848******0014", "voucher": "000001",
        "amount": 1234, "message": "交易成功", "merchant": "MERCHANT0000001",
        "terminal": "TERM0001", "batch": "000003", "date": "1122", "time": "010203",
        "reference": "000000000001", "authorisation": "A1B2C3", "settle_date": "", "check": "777",
    }  # fmt: skip


def test_mis_refusals_have_codes_that_are_not_00() -> None:
    sale = mis.sale("POS1", "C1", 1124)
    told = responded(sale)
    assert (told["code"], told["amount"], told["message"]) == ("51", 0, "交易被拒绝")
    for kind in ("01", "02", "06", "72"):
        assert responded(sale[:16] + kind.encode() + sale[18:])["code"] == mis.UNAVAILABLE
    for bad in (b"", sale[:-1], sale + b" ", sale[:20] + b"x" + sale[21:], b"\xff" + sale[1:]):
        assert responded(bad)["code"] == mis.BAD_RECORD
    assert responded(mis.sale("POS1", "C1", 0))["code"] == mis.BAD_RECORD
    terminal = RegisterTerminal(156)
    terminal.keyed = 5
    assert responded(sale, terminal)["code"] == mis.BUSY
    terminal = RegisterTerminal(156)
    terminal.cut()
    assert responded(sale, terminal)["code"] == mis.NO_TERMINAL
    terminal = RegisterTerminal(156)
    terminal.blocked = "blocked.no_bundle"
    assert responded(sale, terminal)["code"] == mis.UNAVAILABLE


def test_bankall_is_one_call() -> None:
    async def story(server: PlainServer, terminal: RegisterTerminal) -> None:
        def call(record: bytes) -> dict[str, Any]:
            return mis.unpack(
                mis.RESPONSE, mis.bankall(record, ("127.0.0.1", server.port), wait_s=10)
            )

        told = await asyncio.to_thread(call, mis.sale("收银01", "张三", 250))
        assert (told["code"], told["amount"]) == ("00", 250)
        assert terminal.started[0][6] == "收银01"
        assert (await asyncio.to_thread(call, b"short"))["code"] == mis.BAD_RECORD
        # A page in a browser can write any path to this port, but not stop there.
        path = b"POST /xxxxxxxxxx00000000001234" + b"x" * 129
        for web in (path, path + b" HTTP/1.1\r\n", mis.sale("POS1", "C1", 5) + b"\r\n"):
            raw = await ask(server.port, web + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert mis.unpack(mis.RESPONSE, raw)["code"] == mis.BAD_RECORD
        assert len(terminal.started) == 1

    served(mis_server, story, currency=156)
    told = mis.unpack(mis.RESPONSE, mis.bankall(mis.sale("1", "1", 1), ("127.0.0.1", 1)))
    assert told["code"] == mis.NO_TERMINAL


def test_bankall_says_unknown_when_the_connection_breaks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        import threading

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(200)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        record = mis.sale("1", "1", 1)
        told = mis.unpack(mis.RESPONSE, mis.bankall(record, listener.getsockname(), wait_s=10))
        thread.join()
    assert (told["code"], told["check"]) == (mis.NOT_KNOWN, record[56:59].decode())


@given(st.text(), st.integers(0, 60))
def test_gbk_is_cut_between_characters(text: str, size: int) -> None:
    raw = mis.cut(text, size)
    assert len(raw) <= size
    read = raw.decode("gbk")
    plain = "".join(
        char.encode("gbk", "replace").decode("gbk") if char.isprintable() else "?" for char in text
    )
    assert plain.startswith(read)
    assert len(raw) >= min(size - 1, len(plain.encode("gbk")))


_TEXT = st.text("收银台abc 123?", max_size=3).map(str.rstrip)


@given(
    st.fixed_dictionaries(
        {name: st.integers(0, 10**size - 1) if kind == "n" else _TEXT.map(
            lambda t, size=size: t.encode("gbk")[:size].decode("gbk", "ignore").rstrip()  # type: ignore[misc]
        ) for name, size, kind in mis.RESPONSE}
    )
)  # fmt: skip
def test_records_come_back_as_they_went(values: dict[str, Any]) -> None:
    for layout in (mis.RESPONSE, mis.REQUEST):
        known = {name: values.get(name, 0 if kind == "n" else "") for name, _, kind in layout}
        record = mis.pack(layout, known)
        assert len(record) == sum(size for _, size, _ in layout)
        kept = mis.unpack(layout, record)
        assert {n: v for n, v in kept.items() if n in values} == {
            n: v for n, v in known.items() if n in values
        }


def test_numbers_that_do_not_fit_are_refused() -> None:
    for bad in (-1, 10**12):
        with pytest.raises(mis.BadRecord):
            mis.pack(mis.REQUEST, {"amount": bad})


# ---- where they may listen ------------------------------------------------------------------


@pytest.mark.parametrize(
    "listen, clients, plain, network, good",
    [
        ("127.0.0.1:1", [], True, False, True), ("[::1]:1", [], True, False, True),
        ("192.0.2.1:1", ["192.0.2.2"], True, False, False),
        ("192.0.2.1:1", ["192.0.2.2"], True, True, True),
        ("192.0.2.1:1", [], True, True, False), ("0.0.0.0:1", [], False, False, False),
        ("0.0.0.0:1", ["192.0.2.0/24"], False, False, True), ("shop:1", [], True, False, False),
        ("127.0.0.1", [], True, False, False), ("127.0.0.1:70000", [], True, False, False),
        ("127.0.0.1:x", [], True, False, False), ("127.0.0.1:1", ["pos"], True, False, False),
    ],
)  # fmt: skip
def test_plain_text_stays_on_this_computer_unless_it_is_allowed(
    listen: str, clients: list[str], plain: bool, network: bool, good: bool
) -> None:
    if good:
        place_of("x", listen, clients, plain=plain, network=network)
    else:
        with pytest.raises(UserError):
            place_of("x", listen, clients, plain=plain, network=network)


def test_the_list_of_clients_is_of_addresses() -> None:
    place = place_of("x", "0.0.0.0:1", ["192.0.2.0/24", "2001:db8::1"], plain=False)
    good = [("192.0.2.7", 5), ("::ffff:192.0.2.7", 5, 0, 0), ("2001:db8::1", 5, 0, 0)]
    bad = [("192.0.3.7", 5), ("::1", 5), ("", 0), None, "192.0.2.7", ("pos", 1)]
    assert all(place.admits(peer) for peer in good)
    assert not any(place.admits(peer) for peer in bad)
