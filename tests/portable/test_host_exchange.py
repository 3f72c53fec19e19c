"""One request, one outcome: what is sent, what is believed, what is skipped."""

from firmware import aio
from firmware.errors import TillError
from firmware.hal.network import (
    ConnectionLost,
    HostUnreachable,
    NetworkLink,
    Stream,
    TlsConfig,
    TlsFailed,
)
from firmware.hal.vault import KeyMissing
from firmware.payment.host import messages, unionpay, verdicts
from firmware.payment.host.exchange import HostExchange, HostParams
from firmware.payment.host.frame import Frame, FrameReader, encode_frame, swapped
from firmware.payment.host.iso8583 import Message
from tests.portable.virtual_run import run

TPDU, HEADER = b"\x60\x00\x03\x00\x00", b"\x60\x31\x00\x31\x12\x00"
CODEC = unionpay.codec()


def toy_mac(data):
    """Any function of every byte does: the vault's own is tested elsewhere."""
    total = len(data)
    for byte in data:
        total = (total * 257 + byte) % (1 << 61)
    return total.to_bytes(8, "big")


class ToyVault:
    keys = True

    async def mac(self, algorithm, message):
        assert algorithm == "cup-ecb"
        if not self.keys:
            raise KeyMissing("mac")
        return toy_mac(message)

    async def verify_mac(self, algorithm, message, mac):
        if not self.keys:
            raise KeyMissing("mac")
        return toy_mac(message) == mac


class Host(NetworkLink, Stream):
    """Link, stream and host in one. ``script``: called with the request,
    gives a list of (milliseconds, bytes or error)."""

    def __init__(self, script):
        self.script = script
        self.connects = 0
        self.refuse = 0
        self.written = []
        self.closed = 0
        self.write_error = None
        self.log = []
        self._steps = []

    async def connect(self, host, port, tls, timeout_ms):
        self.connects += 1
        self.log.append("connect")
        await aio.sleep_ms(20)
        if self.refuse:
            self.refuse -= 1
            raise HostUnreachable("refused")
        return self

    async def write(self, data):
        self.log.append("write")
        if self.write_error is not None:
            raise self.write_error
        self.written.append(data)
        reader = FrameReader()
        reader.feed(data)
        frame = reader.next()
        self._steps = self.script(frame)

    async def read(self, most):
        if not self._steps:
            await aio.sleep_ms(10000000)
        wait, what = self._steps[0]
        self._steps[0] = (0, what)
        await aio.sleep_ms(wait)
        self._steps.pop(0)
        if isinstance(what, TillError):
            raise what
        return what

    async def close(self):
        self.closed += 1


def request():
    return messages.sale(
        stan=7,
        batch=3,
        amount=1234,
        currency=156,
        terminal_id="12345678",
        merchant_id="123456789012345",
        pan="6222021234567890128",
        emv={0x9F26: bytes(8), 0x9F10: b"\x07", 0x9F36: b"\x00\x05", 0x95: bytes(5)},
    )


def answer_to(frame, mac=True, mti=None, **changes):
    asked = CODEC.decode(frame.body)
    fields = {39: "00"}
    for number in (3, 4, 11, 41, 42):
        if number in asked.fields:
            fields[number] = asked.fields[number]
    for name in changes:
        fields[int(name[1:])] = changes[name]
    if mac:
        fields[64] = bytes(8)
    body = CODEC.encode(Message(mti or verdicts.answer_mti(asked.mti), fields))
    if mac:
        body = body[:-8] + toy_mac(body[:-8])
    return encode_frame(Frame(swapped(frame.tpdu), frame.header, body))


async def no_config():
    return TlsConfig([], "", [], b"", "")


def exchange_with(host, vault=None, sent=None, before=None, mac=True):
    params = HostParams("h", 1, TPDU, HEADER, CODEC, "cup-ecb", 5000, 3000, 3, 100)
    talk = HostExchange(host, no_config, vault or ToyVault(), params)
    return run(talk.exchange(sent or request(), mac, before))


def test_an_answer_is_verified():
    host = Host(lambda frame: [(50, answer_to(frame))])
    outcome = exchange_with(host)
    assert outcome.kind == "answer"
    assert outcome.mac_state == "ok"
    assert outcome.mismatch is None
    assert outcome.skipped == 0
    assert outcome.header == HEADER
    assert verdicts.payment(request(), outcome).kind == "approved"
    assert host.closed == 1
    assert host.written[0][2:7] == TPDU
    sent = host.written[0][13:]
    assert sent[-8:] == toy_mac(sent[:-8])
    assert CODEC.decode(sent).fields[11] == "000007"


def test_answers_in_pieces():
    def script(frame):
        data = answer_to(frame)
        return [(1, data[at : at + 1]) for at in range(len(data))]

    assert exchange_with(Host(script)).mac_state == "ok"


def test_a_wrong_or_missing_mac_is_told():
    def wrong(frame):
        data = answer_to(frame)
        return [(1, data[:-1] + bytes([data[-1] ^ 1]))]

    assert exchange_with(Host(wrong)).mac_state == "bad"
    host = Host(lambda frame: [(1, answer_to(frame, mac=False))])
    assert exchange_with(host).mac_state == "missing"


def test_an_answer_that_cannot_be_checked_is_not_trusted():
    vault = ToyVault()

    def script(frame):
        vault.keys = False
        return [(1, answer_to(frame))]

    assert exchange_with(Host(script), vault).mac_state == "bad"


def test_what_differs_is_told():
    host = Host(lambda frame: [(1, answer_to(frame, f4="000000009999"))])
    assert "field 4" in exchange_with(host).mismatch
    host = Host(lambda frame: [(1, answer_to(frame, mti="0230"))])
    assert "MTI" in exchange_with(host).mismatch


def test_another_stan_is_skipped_and_counted():
    def script(frame):
        late = answer_to(frame, f11="000006")
        return [(1, late + late), (1, answer_to(frame))]

    outcome = exchange_with(Host(script))
    assert (outcome.kind, outcome.skipped) == ("answer", 2)


def test_only_foreign_answers_are_no_answer():
    host = Host(lambda frame: [(100, answer_to(frame, f11="000006"))])
    outcome = exchange_with(host)
    assert (outcome.kind, outcome.reason, outcome.skipped) == ("no_answer", "timeout", 1)
    host = Host(lambda frame: [(1, answer_to(frame, f11="000006"))] * 40)
    assert exchange_with(host).reason == "garbled"


def test_a_late_answer_to_the_original_does_not_end_its_reversal():
    reversal = messages.reversal(
        stan=7,
        batch=3,
        amount=1234,
        currency=156,
        terminal_id="12345678",
        merchant_id="123456789012345",
        reason="98",
        processing="000000",
        entry="051",
        condition="00",
        kind="22",
    )

    def script(frame):
        return [(1, answer_to(frame, mti="0210")), (1, answer_to(frame))]

    outcome = exchange_with(Host(script), sent=reversal)
    assert (outcome.message.mti, outcome.skipped) == ("0410", 1)
    assert verdicts.advice(outcome) == "done"


def test_silence_cut_and_garbage_are_no_answer():
    for script, reason in (
        (lambda frame: [], "timeout"),
        (lambda frame: [(1, ConnectionLost("cut", True))], "lost"),
        (lambda frame: [(1, answer_to(frame)[:-3])], "timeout"),
        (lambda frame: [(1, answer_to(frame)[:-3]), (1, ConnectionLost("cut", True))], "lost"),
        (lambda frame: [(1, b"\xff\xff\xff")], "garbled"),
        (lambda frame: [(1, b"\x00\x16\x60" + bytes(21))], "garbled"),
        (lambda frame: [(1, b"\x00\x16\x61" + bytes(21))], "garbled"),
    ):
        host = Host(script)
        outcome = exchange_with(host)
        assert (outcome.kind, outcome.reason) == ("no_answer", reason)
        assert len(host.written) == 1
        assert host.connects == 1
        assert host.closed == 1


def test_the_answer_time_runs_from_the_first_byte():
    def slow(frame):
        data = answer_to(frame)
        return [(100, data[at : at + 1]) for at in range(len(data))]

    async def main():
        params = HostParams("h", 1, TPDU, HEADER, CODEC, "cup-ecb", 5000)
        started = aio.ticks_ms()
        outcome = await HostExchange(Host(slow), no_config, ToyVault(), params).exchange(
            request(), True
        )
        return outcome, aio.elapsed_ms(started)

    outcome, took = run(main())
    assert outcome.reason == "timeout"
    assert 5000 <= took <= 5200


def test_connecting_is_repeated_and_sending_is_not():
    host = Host(lambda frame: [(1, answer_to(frame))])
    host.refuse = 2
    assert exchange_with(host).kind == "answer"
    assert host.connects == 3
    host = Host(lambda frame: [])
    host.refuse = 3
    outcome = exchange_with(host)
    assert outcome.kind == "not_sent"
    assert isinstance(outcome.error, HostUnreachable)
    assert (host.connects, host.written) == (3, [])


def test_a_proved_unsent_request_is_told_from_a_partly_sent_one():
    host = Host(lambda frame: [])
    host.write_error = ConnectionLost("cut", False)
    assert exchange_with(host).kind == "not_sent"
    assert (host.connects, host.closed) == (1, 1)
    host = Host(lambda frame: [])
    host.write_error = ConnectionLost("cut", True)
    outcome = exchange_with(host)
    assert (outcome.kind, outcome.reason) == ("no_answer", "partly_sent")
    assert (host.connects, host.closed) == (1, 1)


def test_a_failed_handshake_is_not_sent():
    class Refuses(Host):
        async def connect(self, host, port, tls, timeout_ms):
            raise TlsFailed("expired", "expired")

    outcome = exchange_with(Refuses(lambda frame: []))
    assert outcome.kind == "not_sent"
    assert outcome.error.cause == "expired"


def test_the_journal_comes_right_before_the_first_byte():
    host = Host(lambda frame: [(1, answer_to(frame))])

    async def journal():
        host.log.append("journal")

    exchange_with(host, before=journal)
    assert host.log == ["connect", "journal", "write"]


def test_a_failed_journal_sends_nothing():
    host = Host(lambda frame: [])

    async def journal():
        raise TillError("disk full")

    try:
        exchange_with(host, before=journal)
    except TillError as error:
        assert str(error) == "disk full"
    else:
        raise AssertionError("the journal's error was swallowed")
    assert host.written == []
    assert host.closed == 1


def test_without_a_key_nothing_is_connected():
    vault = ToyVault()
    vault.keys = False
    host = Host(lambda frame: [])
    try:
        exchange_with(host, vault)
    except KeyMissing:
        assert host.connects == 0
    else:
        raise AssertionError("a request without MAC was sent")


def test_management_goes_without_mac():
    sent = messages.echo(1, 0, "12345678", "123456789012345")
    host = Host(lambda frame: [(1, answer_to(frame, mac=False))])
    outcome = exchange_with(host, sent=sent, mac=False)
    assert verdicts.accepted(outcome)
    assert 64 not in CODEC.decode(host.written[0][13:]).fields


def test_one_exchange_at_a_time():
    host = Host(lambda frame: [(50, answer_to(frame))])

    async def main():
        params = HostParams("h", 1, TPDU, HEADER, CODEC, "cup-ecb", 5000)
        talk = HostExchange(host, no_config, ToyVault(), params)
        return await aio.gather(talk.exchange(request(), True), talk.exchange(request(), True))

    outcomes = run(main())
    assert [outcome.kind for outcome in outcomes] == ["answer", "answer"]
    assert host.log == ["connect", "write", "connect", "write"]


def test_a_cancelled_exchange_closes_its_connection():
    host = Host(lambda frame: [])

    async def main():
        params = HostParams("h", 1, TPDU, HEADER, CODEC, "cup-ecb", 5000)
        talk = HostExchange(host, no_config, ToyVault(), params)
        name, _ = await aio.first(("talk", talk.exchange(request(), True)), timeout_ms=1000)
        return name

    assert run(main()) == "timeout"
    assert host.closed == 1
