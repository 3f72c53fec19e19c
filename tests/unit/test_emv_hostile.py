"""Whatever a card says, the kernel ends in an Outcome within bounded steps."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.payment.emv import steps
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import MAX_ENTRIES, Trace
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
