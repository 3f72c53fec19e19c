"""The AT engine on both interpreters: answers, unsolicited codes, prompts, data mode, time-outs."""

from firmware.drivers import at_engine
from firmware.drivers.at_engine import AtEngine, AtError, Command

URCS = (b"+CREG:", b"+CPIN:", b"RDY", b"RING", b"+CMTI:")


def raises(error, function, *args):
    try:
        function(*args)
    except error as caught:
        return str(caught)
    raise AssertionError("no error")


def read_answer(line):
    """Whether a +CREG line answers a question: <n>,<stat> (27.007, 7.2)."""
    fields = line.split(b",")
    return len(fields) > 1 and not fields[1].startswith(b'"')


def final(events):
    found = [value for kind, value in events if kind == "final"]
    assert len(found) == 1, events
    return found[0]


def test_an_answer_with_echo_and_unsolicited_codes_in_the_middle():
    engine = AtEngine(URCS)
    assert engine.send(Command(b"AT+CREG?", b"+CREG:", read_answer)) == b"AT+CREG?\r"
    events = engine.feed(
        b'AT+CREG?\r\r\nRDY\r\n\r\n+CREG: 5,"00C3","01"\r\n\r\n+CREG: 2,1,"00C3","01",7\r\n'
        b"\r\nRING\r\n\r\nOK\r\n"
    )
    assert [kind for kind, _ in events] == ["urc", "urc", "urc", "final"]
    assert events[1] == ("urc", b'+CREG: 5,"00C3","01"')
    answer = final(events)
    assert answer.ok and answer.lines == [b'+CREG: 2,1,"00C3","01",7']
    assert engine.state == at_engine.IDLE and engine.strays == 0


def test_each_final_result():
    for text, code in (
        (b"OK", -1), (b"ERROR", -1), (b"ABORTED", -1), (b"+CME ERROR: 10", 10),
        (b"+CMS ERROR: 500", 500), (b"+CME ERROR: SIM not inserted", -1),
    ):  # fmt: skip
        engine = AtEngine()
        engine.send(Command(b"AT+X"))
        answer = final(engine.feed(b"\r\n" + text + b"\r\n"))
        assert answer.result == text and answer.code == code
        assert answer.ok == (text == b"OK")


def test_call_results_end_calls_only():
    for text in (b"NO CARRIER", b"BUSY", b"NO ANSWER", b"NO DIALTONE"):
        engine = AtEngine()
        engine.send(Command(b"ATD*99#", call=True))
        assert final(engine.feed(b"\r\n" + text + b"\r\n")).result == text
        engine.send(Command(b"AT+CSQ", b"+CSQ:"))
        assert engine.feed(b"\r\n" + text + b"\r\n") == [("urc", text)]
        assert final(engine.feed(b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n")).lines == [b"+CSQ: 20,99"]


def test_lines_that_nobody_asked_for_are_dropped():
    engine = AtEngine(URCS)
    assert engine.feed(b"\r\nOK\r\n\r\n+CSQ: 1,2\r\n") == []
    assert engine.late == 1 and engine.strays == 1
    engine.send(Command(b"AT+CFUN=1"))
    answer = final(engine.feed(b"\r\n+CSQ: 1,2\r\nhello\r\nOK\r\n"))
    assert answer.lines == [] and engine.strays == 3
    engine.send(Command(b"AT+CGMM", b""))
    assert final(engine.feed(b"AT+CGMM\r\r\nEC25\r\n\r\nOK\r\n")).lines == [b"EC25"]


def test_a_late_answer_is_never_the_next_commands():
    engine = AtEngine()
    engine.send(Command(b"AT+COPS?", b"+COPS:"))
    engine.expire()
    assert "not free" in raises(AtError, engine.send, Command(b"AT+CSQ", b"+CSQ:"))
    assert engine.resync() == b"\rAT+CMEE?\r"
    assert engine.feed(b'\r\n+COPS: 0,0,"X",7\r\n\r\nOK\r\n') == []
    assert engine.feed(b"\r\n+CMEE: 1\r\n") == []
    assert engine.feed(b"\r\nOK\r\n") == [("synced", b"")]
    engine.send(Command(b"AT+CSQ", b"+CSQ:"))
    assert final(engine.feed(b"\r\n+CSQ: 9,99\r\n\r\nOK\r\n")).lines == [b"+CSQ: 9,99"]


def test_a_late_answer_to_an_earlier_resync_does_not_count():
    engine = AtEngine()
    engine.send(Command(b"AT"))
    engine.expire()
    engine.resync()
    engine.expire()
    assert engine.resync() == b"\rAT+CSCS?\r"
    assert engine.feed(b"\r\n+CMEE: 1\r\n\r\nOK\r\n") == []
    assert engine.state == at_engine.SYNCING
    assert engine.feed(b'AT+CSCS?\r\r\n+CSCS: "IRA"\r\n\r\nOK\r\n') == [("synced", b"")]


def test_an_answer_that_may_be_an_old_one_is_called_uncertain():
    engine = AtEngine()
    engine.send(Command(b"AT"))
    engine.expire()
    asked = []
    for _ in range(len(at_engine.SYNCS) + 1):
        asked.append(engine.resync().strip())
        engine.expire()
    assert len(set(asked)) == len(at_engine.SYNCS)
    question = engine.resync().strip()
    prefix = dict(at_engine.SYNCS)[question]
    assert engine.feed(b"\r\n" + prefix + b" 1\r\n\r\nOK\r\n") == [("synced", b"")]
    assert engine.uncertain
    engine.trust()
    assert not engine.uncertain
    engine.resync()
    engine.feed(b"\r\n+CMEE: 1\r\n\r\nOK\r\n")
    assert engine.state == at_engine.IDLE and not engine.uncertain


def test_an_old_question_answered_amid_a_command_is_no_answer():
    engine = AtEngine()
    engine.send(Command(b"AT+CGMM", b""))
    assert engine.feed(b'\r\n+CSCS: "IRA"\r\n\r\nOK\r\n') == []
    assert engine.state == at_engine.LOST and engine.late == 2
    engine.resync()
    engine.feed(b"\r\n+CMEE: 1\r\n\r\nOK\r\n")
    assert engine.state == at_engine.IDLE and not engine.uncertain


def test_a_prompt_takes_one_body():
    engine = AtEngine()
    engine.send(Command(b"AT+CMGS=20", b"+CMGS:", prompt=True))
    raises(AtError, engine.body, b"00")
    assert engine.feed(b"AT+CMGS=20\r\r\n>") == []
    assert engine.feed(b" ") == [("prompt", b"")]
    assert engine.body(b"0011") == b"0011\x1a"
    raises(ValueError, engine.body, b"00\x1a")
    assert engine.give_up_body() == b"\x1b"
    answer = final(engine.feed(b"0011\x1a\r\n+CMGS: 7\r\n\r\nOK\r\n"))
    assert answer.lines == [b"+CMGS: 7"]
    engine.send(Command(b"AT+CMGS=20", b"+CMGS:", prompt=True))
    assert final(engine.feed(b"\r\n+CMS ERROR: 310\r\n")).code == 310
    raises(AtError, engine.body, b"00")


def test_data_mode_and_hanging_up():
    engine = AtEngine()
    engine.send(Command(b"ATD*99#", call=True))
    events = engine.feed(b"\r\nCONNECT 150000000\r\n\x7e\xff\x03\r\nNO CARRIER\r\n\x7e")
    assert final(events).ok
    # Inside a frame the words are the peer's bytes.
    assert events[1:] == [("data", b"\x7e\xff\x03\r\nNO CARRIER\r\n\x7e")]
    raises(AtError, engine.send, Command(b"AT"))
    assert engine.feed(b"abc\x7e\r\nNO") == [("data", b"abc\x7e")]
    assert engine.feed(b" CARR") == []
    assert engine.feed(b"IER\r\n\r\nRING\r\n") == [("hangup", b"")]
    assert engine.state == at_engine.IDLE and engine.strays == 1  # RING was not learned


def test_escaping_from_data_mode():
    engine = AtEngine()
    raises(AtError, engine.escape)
    engine.send(Command(b"ATD*99#", call=True))
    engine.feed(b"\r\nCONNECT\r\n")
    assert engine.escape() == b"+++"
    events = engine.feed(b"last\r") + engine.feed(b"\nO") + engine.feed(b"K\r\n\r\nRING\r\n")
    assert [kind for kind, _ in events] == ["data", "final"] and final(events).ok
    engine.send(Command(b"ATO", call=True))
    engine.feed(b"\r\nCONNECT\r\n")
    engine.escape()
    engine.expire()  # the modem took it for data
    assert engine.state == at_engine.DATA
    engine.escape()
    assert final(engine.feed(b"\r\nNO CARRIER\r\n")).result == b"NO CARRIER"


def test_noise_is_bounded_and_the_engine_recovers():
    engine = AtEngine()
    engine.send(Command(b"AT", None))
    for _ in range(100):
        assert engine.feed(b"\xff\x00~" * 100) == []
    assert len(engine._buffer) <= at_engine.MAX_LINE
    assert final(engine.feed(b"\r\nOK\r\n")).ok
    assert engine.overlong == 1
    engine.send(Command(b"AT+CMGL=4", b""))
    answer = final(engine.feed(b"x" * 500 + b"\r\n" + b"y\r\n" * 999 + b"OK\r\n"))
    assert len(answer.lines) == at_engine.MAX_LINES and answer.dropped == 936
    engine.send(Command(b"AT+CMGL=4", b""))
    answer = final(engine.feed((b"x" * 1000 + b"\r\n") * 20 + b"OK\r\n"))
    assert len(answer.lines) == 16 and answer.dropped == 4


def test_a_reset_modem_begins_anew():
    engine = AtEngine(URCS)
    engine.send(Command(b"AT+COPS?", b"+COPS:"))
    engine.feed(b'\r\n+COPS: 0,0,"Half')
    engine.restart()
    assert engine.feed(b"\r\nRDY\r\n") == [("urc", b"RDY")]
    raises(AtError, engine.send, Command(b"AT"))
    engine.resync()
    assert engine.feed(b"\r\n+CMEE: 0\r\n\r\nOK\r\n") == [("synced", b"")]
    engine.send(Command(b"AT"))
    assert final(engine.feed(b"\r\nOK\r\n")).ok


def test_commands_are_one_line():
    raises(ValueError, Command, b"AT\r")
    raises(ValueError, Command, b"AT" + b"1" * 1100)
