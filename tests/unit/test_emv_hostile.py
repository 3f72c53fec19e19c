"""Whatever a card says, the kernel ends in an Outcome within bounded steps."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.payment.emv import steps
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import MAX_ENTRIES, Trace
from host_tools import emv_oda, emv_replay
from host_tools.emv_input import InputError
from tests.portable.emv_card import FakeCard, config, drive, transaction

#: Prompts and commands of the longest transaction the bounds allow.
MOST_STEPS = 460


def _drive_bytes(answers: "st.DataObject", seed: int) -> None:
    source = random.Random(seed)
    trace = Trace(True)
    kernel = Kernel(config(), transaction(), lambda n: bytes(n), trace)
    step = kernel.start()
    for _ in range(MOST_STEPS):
        if isinstance(step, steps.Outcome):
            assert len(trace.entries) <= MAX_ENTRIES
            return
        if isinstance(step, steps.SendApdu):
            assert 4 <= len(step.command) <= 261
            answer: object = answers(source, step.command)
        elif isinstance(step, steps.EnterPin):
            answer = (source.choice(("entered", "failed", "entered")), None)
        elif isinstance(step, steps.VerifyPin):
            answer = source.choice((0x9000, 0x63C2, 0x63CF, 0x6983, 0x6F00, 0))
        elif isinstance(step, steps.GoOnline):
            answer = source.choice(
                (
                    steps.Unable(True),
                    steps.Unable(False),
                    steps.HostAnswer(None, source.randbytes(source.randrange(20))),
                    steps.HostAnswer(b"00", None, [(0x71, source.randbytes(40))] * 12),
                )
            )
        elif isinstance(step, steps.ChooseApplication):
            answer = source.choice((0, 1, None))
        else:
            answer = True
        step = kernel.resume(answer)
    raise AssertionError("no outcome")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.binary(max_size=60), min_size=1, max_size=8))
def test_random_answers(seed: int, pool: list[bytes]) -> None:
    def answer(source: random.Random, command: bytes) -> tuple[bytes, int, int]:
        sw = source.choice((0x9000, 0x9000, 0x9000, 0x6A82, 0x6283, 0x6985, 0x6300))
        return source.choice(pool), sw, 0

    _drive_bytes(answer, seed)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["", "SDA", "DDA", "CDA"]))
def test_true_answers_with_bytes_changed(seed: int, method: str) -> None:
    card = FakeCard(method, cvm="4103440342031F00")
    card.kinds = [0x80, 0x40]

    def answer(source: random.Random, command: bytes) -> tuple[bytes, int, int]:
        data, sw = card.exchange(command) if card.kinds or command[1] != 0xAE else (b"", 0x6985)
        if data and source.random() < 0.2:
            changed = bytearray(data)
            kind = source.randrange(4)
            place = source.randrange(len(changed))
            if kind == 0:
                changed[place] = source.randrange(256)
            elif kind == 1:
                del changed[place:]
            elif kind == 2:
                changed[place:place] = source.randbytes(source.randrange(1, 5))
            else:
                changed[:4] = source.randbytes(4)
            data = bytes(changed)
        return data, sw, 0

    _drive_bytes(answer, seed)


def test_a_card_that_selects_for_ever_is_bounded() -> None:
    card = FakeCard()
    longer = bytes.fromhex("6F0B8409A00000033301010199")

    class Endless:
        log: list[bytes] = []

        def exchange(self, command: bytes) -> tuple[bytes, int]:
            self.log.append(command)
            if command[5:19] == b"1PAY.SYS.DDF01":
                return bytes.fromhex("6F15840E315041592E5359532E4444463031A503880101"), 0x9000
            if command[1] == 0xB2:
                return bytes.fromhex("7000"), 0x9000
            return longer, 0x9000

    run = drive(Endless())
    assert run.outcome.kind in ("terminated", "not_accepted")
    assert len(Endless.log) < 100
    assert card.log == []


_SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.sampled_from(["", "00", "5A", "9F02", "unable", "entered", "A000000333010101", "zz", "123"]),
    st.binary(max_size=12).map(bytes.hex),
)
_VALUE = st.recursive(
    _SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                ["c", "r", "aid", "rid", "index", "modulus", "exponent", "8A", "91", "71", "72"]
                + ["9F02", "9F35", "9A", "5A", "90", "9F4B", "partial", "floor_limit", "sha1"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=10,
)
_KEYS = ["interface", "steps", "terminal", "transaction", "capks", "aids", "host", "pin"]
_KEYS += ["choices", "random", "date", "rid", "capk", "tags", "static_data", "dynamic_data"]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(_KEYS), _VALUE, max_size=8))
def test_any_table_is_judged_or_refused(table: dict[str, object]) -> None:
    for work in (emv_replay.replay, emv_oda.check):
        try:
            work(dict(table))
        except InputError as error:
            assert str(error)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.binary(min_size=4, max_size=12), st.binary(min_size=2, max_size=60))),
    st.integers(0, 2**32),
)
def test_any_recording_ends(pairs: list[tuple[bytes, bytes]], seed: int) -> None:
    source = random.Random(seed)
    card = FakeCard("DDA")
    steps_given = [{"c": c.hex(), "r": r.hex()} for c, r in pairs]
    original = card.exchange

    def record(command: bytes) -> tuple[bytes, int]:
        data, sw = original(command)
        steps_given.append({"c": command.hex(), "r": data.hex() + f"{sw:04x}"})
        return data, sw

    card.exchange = record  # type: ignore[method-assign]  # a spy
    drive(card)
    source.shuffle(steps_given)
    result = emv_replay.replay({"interface": "contact", "steps": steps_given, "date": "261121"})
    assert result["outcome"]
