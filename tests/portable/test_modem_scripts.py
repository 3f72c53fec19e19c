"""What modem families say, and short messages, on both interpreters."""

from firmware.drivers import modem_scripts as scripts
from firmware.drivers import sms_pdu
from firmware.drivers.at_engine import Answer


def raises(error, function, *args):
    try:
        function(*args)
    except error as caught:
        return str(caught)
    raise AssertionError("no error")


def answer(result, *lines):
    made = Answer()
    made.result = result
    if result.startswith(b"+CME ERROR:") and result[12:].isdigit():
        made.code = int(result[12:])
    made.lines = list(lines)
    return made


def test_families_by_their_model_names():
    for model, name in (
        (b"EC25", "ec25"), (b"EG25", "ec25"), (b"EC200UCN", "ec200"),
        (b"SIMCOM_SIM7600E-H", "sim7600"), (b"A7670E-FASE", "a7670"), (b"ME909s", "generic"),
        (b"", "generic"), (b"\xff\x00", "generic"),
    ):  # fmt: skip
        assert scripts.family_of(model).name == name


def test_fields():
    assert scripts.fields(b'+COPS: 0,0,"CHN, MOBILE",7') == [b"0", b"0", b"CHN, MOBILE", b"7"]
    assert scripts.fields(b"+CPIN: READY") == [b"READY"]
    assert scripts.fields(b'+X: ,"') == [b"", b""]
    assert scripts.number(b"-12") == -12 and scripts.number(b"12x") is None
    assert scripts.number(b"") is None and scripts.number(b"12345678901") is None


def test_sim_states():
    for made, state in (
        (answer(b"OK", b"+CPIN: READY"), "ready"),
        (answer(b"OK", b"+CPIN: SIM PIN"), "sim_pin"),
        (answer(b"OK", b"+CPIN: SIM PUK"), "sim_puk"),
        (answer(b"OK", b"+CPIN: SIM PIN2"), "ready"),
        (answer(b"OK"), "busy"),
        (answer(b"+CME ERROR: 10"), "no_sim"),
        (answer(b"+CME ERROR: SIM not inserted"), "no_sim"),
        (answer(b"+CME ERROR: 13"), "sim_fault"),
        (answer(b"+CME ERROR: 14"), "busy"),
        (answer(b"ERROR"), "busy"),
    ):
        assert scripts.sim_state(made) == state, made


def test_tries():
    ec25, sim7600 = scripts.family_of(b"EC25"), scripts.family_of(b"SIM7600")
    assert scripts.tries_left(ec25, [b'+QPINC: "P2",1,10', b'+QPINC: "SC",3,10']) == 3
    assert scripts.tries_left(sim7600, [b"+SPIC: 2,10,3,10"]) == 2
    assert scripts.tries_left(scripts.GENERIC, [b"+CPINR: SIM PIN,3,3"]) == 3
    assert scripts.tries_left(scripts.GENERIC, []) is None
    assert scripts.tries_left(ec25, [b"+QPINC: damaged"]) is None
    assert scripts.enter_pin("1234").text == b'AT+CPIN="1234"'
    for bad in ("", "123", "123456789", "12a4", '1"34'):
        raises(ValueError, scripts.enter_pin, bad)


def test_registration():
    assert scripts.registration([b"+CEREG: 0,1"]) == scripts.HOME
    assert scripts.registration([b'+CEREG: 2,5,"00C3","01",7']) == scripts.ROAMING
    assert scripts.registration([b"+CEREG: x"]) == scripts.UNKNOWN
    accept = scripts.REGISTRATION[0].accept
    assert accept(b"+CEREG: 0,1") and accept(b'+CEREG: 2, 1,"00C3"')
    assert not accept(b"+CEREG: 1") and not accept(b'+CEREG: 1,"00C3","01",7')
    for stats, best in (
        ([0, 1], 1), ([3, 5], 5), ([3, 2], 2), ([3, 0], 3), ([0, 0], 0), ([], 4), ([4], 4),
    ):  # fmt: skip
        assert scripts.best_registration(stats) == best


def test_bars():
    for line, bars in (
        (b'+QCSQ: "LTE",-52,-81,195,-10', 4), (b'+QCSQ: "LTE",-80,-110,0,-20', 1),
        (b'+QCSQ: "GSM",-90', 2), (b'+QCSQ: "NOSERVICE"', 0), (b'+QCSQ: "LTE",x', None),
        (b"+CSQ: 31,99", 4), (b"+CSQ: 13,0", 3), (b"+CSQ: 0,0", 0), (b"+CSQ: 99,99", None),
        (b"+CESQ: 99,99,255,255,20,56", 4), (b"+CESQ: 99,99,255,255,20,10", 0),
        (b"+CESQ: 40,0,255,255,255,255", 4), (b"+CESQ: 99,99,255,255,255,255", None),
        (b"+CSQ: \xff", None), (b"+CESQ: 1", None),
    ):  # fmt: skip
        assert scripts.bars([line]) == bars, line
    assert scripts.bars([]) is None


def test_operator_context_address_counters():
    assert scripts.operator([b'+COPS: 0,0,"CHINA MOBILE",7']) == "CHINA MOBILE"
    assert scripts.operator([b'+COPS: 0,0,"\xe4\xb8",7']) == "??" and scripts.operator([]) == ""
    assert scripts.context("cmnet").text == b'AT+CGDCONT=1,"IP","cmnet"'
    assert scripts.context("").text == b'AT+CGDCONT=1,"IP",""'
    for bad in ('a"b', "a b", "é", "a" * 101):
        raises(ValueError, scripts.context, bad)
    assert scripts.has_context([b'+CGDCONT: 1,"IP","CMNET","0.0.0.0",0,0'], "cmnet")
    assert not scripts.has_context([b'+CGDCONT: 2,"IP","cmnet"', b"+CGDCONT: 1"], "cmnet")
    assert scripts.address([b'+CGPADDR: 1,"10.1.2.3"']) == "10.1.2.3"
    assert scripts.address([b"+CGPADDR: 1,10.1.2.3"]) == "10.1.2.3"
    assert scripts.address([b'+CGPADDR: 1,"0.0.0.0"']) == ""
    assert scripts.counters([b"+QGDCNT: 15298,59586"]) == (15298, 59586)
    assert scripts.counters([b"+QGDCNT: x"]) == (-1, -1)


# Examples of other people's making: "hellohello" is the SMS-DELIVER that many pages on
# TS 23.040 explain; the Chinese one and the long one are composed here by the clauses.
HELLO = b"07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37"
CHINESE = b"00240D91683108108300F50008621111215423000A004F004B9A8C8BC17801"


def test_short_messages():
    hello = sms_pdu.parse(HELLO)
    assert (hello.sender, hello.text) == ("27838890001", "hellohello")
    assert (hello.part, hello.parts, hello.stamp) == (1, 1, "2099-03-29 15:16:59")
    chinese = sms_pdu.parse(CHINESE)
    assert chinese.sender == "+8613800138005" and chinese.text == "OK验证码"
    # Two parts, seven septets for the header; then "part".
    text = b"004004A12143000026111121542300" + b"0B" + b"050003AA0202" + b"E061391D"
    part = sms_pdu.parse(text)
    assert (part.sender, part.part, part.parts, part.text) == ("1234", 2, 2, "part")
    data = sms_pdu.parse(b"000404A121430004261111215423000401020304")
    assert data.text == "" and data.stamp == "2062-11-11 12:45:32"
    assert sms_pdu.parse(b"000404A1214300042611F1215423000401020304").stamp == ""


def test_a_listed_message_is_found_whatever_stands_in_it():
    lines = [b"stray", HELLO, b"+CMGL: 3,0,,24", b"+NEWS: 1", HELLO, CHINESE, b"+CMGL: 4,0,,9",
             b"#", b"+CMGL: 5,0,,9", CHINESE.lower()]  # fmt: skip
    assert scripts.messages(lines) == [(3, HELLO), (5, CHINESE.lower())]


def test_damaged_messages_are_refused():
    for bad in (
        b"", b"0", b"zz", HELLO[:-2], HELLO[:30], b"00" * 300, b"FF" * 20, b"0001" + HELLO[18:],
        b"000404A12143000026111121542300A1",
    ):  # fmt: skip
        raises(ValueError, sms_pdu.parse, bad)
