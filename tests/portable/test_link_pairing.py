"""firmware.link.pairing: the eight steps, every step out of turn, and who is in between."""

from firmware.crypto import x25519
from firmware.link.pairing import (
    PC_STATES,
    TERMINAL_STATES,
    PairingFailed,
    PcPairing,
    SomebodyBetween,
    TerminalPairing,
    WrongCode,
    code_of,
)
from firmware.link.streams import END, ITEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

H = bytes(range(32))
ROLES = ["sync", "register"]
#: Which input of the PC's is made of which message of the terminal's, and the other way round.
STORY: "tuple[str, ...]" = (
    "begin",
    "ask",
    "agree",
    "commitment",
    "challenge",
    "share",
    "code",
    "proof",
    "reveal",
)
STORY += ("kept-pc", "done", "kept", "paired")

PC_INPUTS = ("begin", "commitment", "share", "code", "reveal", "kept-pc", "paired")


def _ends(of_pc: bytes = H, of_terminal: bytes = H) -> "tuple[PcPairing, TerminalPairing]":
    terminal = TerminalPairing(of_terminal, bytes([3]) * 32, bytes([5]) * 32)
    return PcPairing(of_pc, bytes([4]) * 16, bytes([6]) * 32, ["register", "sync"]), terminal


def _play(pc: PcPairing, terminal: TerminalPairing, steps: int = 99, code: str = "") -> "Any":
    """The story as far as ``steps``; the message that is under way at its end."""
    message: "Any" = None
    for name in STORY[:steps]:
        if name == "ask":
            sent = terminal.step(name, {1: pc.roles})
        elif name == "code":
            sent = pc.step(name, code or terminal.code)
        elif name == "kept-pc":
            sent = pc.step("kept")
        elif name in PC_INPUTS:
            sent = pc.step(name, message)
        else:
            sent = terminal.step(name, message)
        if sent:
            ((kind, message),) = sent
            assert kind == (END if name in ("kept-pc", "kept") else ITEM)
    return message


def _fails(end: "Any", name: str, value: "Any", error: "Any" = PairingFailed) -> None:
    for expected in (error, PairingFailed):  # the second time it is dead
        try:
            end.step(name, value)
        except expected:
            assert end.state == "failed"
        else:
            raise AssertionError("taken: " + name)


def test_the_eight_steps() -> None:
    pc, terminal = _ends()
    _play(pc, terminal)
    assert pc.state == terminal.state == "paired"
    assert pc.roles == terminal.roles == ROLES


def test_the_code_is_six_digits_of_all_three() -> None:
    codes = [code_of(bytes([n]) * 32, bytes(32), bytes(16)) for n in range(60)]
    codes += [code_of(H, bytes([n]) * 32, bytes(16)) for n in range(60)]
    codes += [code_of(H, bytes(32), bytes([n]) * 16) for n in range(60)]
    assert len(set(codes)) > 170
    assert [code for code in codes if len(code) != 6 or not code.isdigit()] == []
    assert [code for code in codes if code[0] == "0"]


def test_a_wrong_code_is_one_guess() -> None:
    pc, terminal = _ends()
    message = _play(pc, terminal, STORY.index("code"), "")
    wrong = "111111" if terminal.code != "111111" else "222222"
    (sent,) = pc.step("code", wrong)
    assert message is not None
    _fails(terminal, "proof", sent[1], WrongCode)
    assert terminal.code == ""


def test_what_is_no_code_is_refused_before_it_is_a_guess() -> None:
    for code in ("", "12345", "1234567", "12a456", "\u0661\u0662\u0663\u0664\u0665\u0666", 123456):
        pc, terminal = _ends()
        _play(pc, terminal, STORY.index("code"))
        _fails(pc, "code", code)


def test_two_channels_with_somebody_between_do_not_pair() -> None:
    """He passes every message on; both ends see another handshake hash."""
    pc, terminal = _ends(of_terminal=bytes(32))
    message = _play(pc, terminal, STORY.index("proof"))
    _fails(terminal, "proof", message, WrongCode)


def test_a_terminal_that_knows_the_code_but_promised_another_secret_is_no_terminal() -> None:
    """The one in between has seen the code (a camera), and plays the terminal to the PC."""
    for lie in range(3):
        pc, terminal = _ends()
        message = _play(pc, terminal, STORY.index("reveal"))
        if lie == 0:
            message = {1: bytes(64), 2: message[2]}
        elif lie == 1:
            message = {1: message[1], 2: bytes(32)}
        else:
            pc._promised = message[2]
        _fails(pc, "reveal", message, SomebodyBetween)


def test_a_code_of_another_channel_is_noticed_though_the_tag_is_good() -> None:
    pc, terminal = _ends()
    message = _play(pc, terminal, STORY.index("reveal"))
    pc._typed = "000000"
    _fails(pc, "reveal", message, SomebodyBetween)


def test_nothing_but_the_tables_moves_an_end() -> None:
    """Each state of both ends with each input of either, in its right form."""
    pc, terminal = _ends()
    inputs: "dict[str, Any]" = {}
    message: "Any" = None
    for name in STORY:
        value = {1: ROLES} if name == "ask" else terminal.code if name == "code" else message
        own = "kept" if name == "kept-pc" else name
        of_pc = name in PC_INPUTS
        inputs[own] = value
        sent = (pc if of_pc else terminal).step(own, value)
        if sent:
            message = sent[0][1]
    tried = 0
    for place, states in ((0, PC_STATES), (1, TERMINAL_STATES)):
        for state in list(states) + ["paired", "failed"]:
            for name in inputs:
                if name not in states.get(state, {}):
                    end = _ends()[place]
                    end.state = state
                    _fails(end, name, inputs[name])
                    tried += 1
    rows = len(PC_STATES) + len(TERMINAL_STATES)  # each has one way on
    assert tried == (rows + 4) * len(inputs) - rows and len(inputs) == 12


def test_messages_of_another_shape_end_the_attempt() -> None:
    shapes: "tuple[Any, ...]" = ({2: bytes(32)}, {1: bytes(33)}, None, {}, {1: 1}, {1: b""}, [1], 5)
    for count in range(len(STORY)):
        name = STORY[count]
        if name in ("begin", "agree", "kept", "kept-pc"):
            continue
        for shape in shapes if count < STORY.index("code") else shapes[:3]:
            pc, terminal = _ends()
            _play(pc, terminal, count)
            _fails(pc if name in PC_INPUTS else terminal, name, shape)


def test_roles_that_are_none() -> None:
    for roles in ([], ["all"], ["sync", "sync"], "sync", [1], None):
        _, terminal = _ends()
        _fails(terminal, "ask", {1: roles})
    pc, terminal = _ends()
    _play(pc, terminal, STORY.index("paired"))
    _fails(pc, "paired", {1: ["sync", "register", "service"]})


def test_shares_of_low_order_are_refused() -> None:
    for point in (bytes(32), b"\x01" + bytes(31)):
        try:
            x25519.shared(bytes([8]) * 32, point)
        except x25519.LowOrderError:
            pass
        else:
            raise AssertionError("a secret of a low-order point")
        pc, terminal = _ends()
        message = _play(pc, terminal, STORY.index("proof"))
        _fails(terminal, "proof", {1: point, 2: message[2]})
        pc, terminal = _ends()
        _play(pc, terminal, STORY.index("share"))
        pc.step("share", {1: point})
        _fails(pc, "code", "123456")
