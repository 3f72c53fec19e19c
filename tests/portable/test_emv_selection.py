"""Application selection (Book 1, 12) and GET PROCESSING OPTIONS (Book 3, 10.1)."""

from firmware.payment.emv import steps
from tests.portable.emv_card import AID, FakeCard, aid_config, config, drive, template

PSE = "00A404000E315041592E5359532E4444463031"
SECOND = AID[:7] + b"\x02"


def _fci(aid, label=b"CARD", priority=1, pdol=None):
    inside = [(0x50, label), (0x87, bytes((priority,)))]
    if pdol is not None:
        inside.append((0x9F38, pdol))
    return template(0x6F, [(0x84, aid), (0xA5, template(0xA5, inside)[2:])])


def _pse(card, *entries, sfi=b"\x01"):
    fci = template(0x6F, [(0x84, b"1PAY.SYS.DDF01"), (0xA5, template(0xA5, [(0x88, sfi)])[2:])])
    card.answers[PSE] = (fci, 0x9000)
    records = [template(0x70, [(0x61, template(0x61, entry)[2:])]) for entry in entries]
    for number, record in enumerate(records):
        card.answers[f"00B2{number + 1:02X}0C"] = (record, 0x9000)
    card.answers[f"00B2{len(records) + 1:02X}0C"] = (b"", 0x6A83)


class PseCard(FakeCard):
    """Directory records are answered only until an application is selected."""

    def exchange(self, command):
        if command[1] == 0xA4 and command[5:8] != b"1PA":
            for number in range(1, 5):
                self.answers.pop(f"00B2{number:02X}0C", None)
        return super().exchange(command)


def _select(aid, following=False):
    return f"00A404{2 if following else 0:02X}{len(aid):02X}" + aid.hex().upper()


def _two():
    return config(aids=[aid_config(), aid_config(aid=SECOND)])


def _has(run, *rules):
    for rule in rules:
        assert rule in run.rules(), (rule, run.rules())


def test_pse_gives_the_candidates():
    card = PseCard()
    _pse(card, [(0x4F, AID), (0x50, b"DEBIT"), (0x87, b"\x01")])
    run = drive(card)
    assert run.outcome.kind == "approved"
    assert [c[1] for c in card.log[:5]] == [0xA4, 0xB2, 0xB2, 0xA4, 0xA8]


def test_pse_entries_without_name_or_match_are_passed_over():
    card = PseCard()
    other = bytes.fromhex("A0000000041010")
    _pse(card, [(0x50, b"X")], [(0x4F, other), (0x87, b"\x01")], [(0x4F, AID)])
    run = drive(card)
    assert run.outcome.kind == "approved"
    _has(run, "B1 12.2.3 a")


def test_blocked_card_ends():
    card = FakeCard()
    card.answers[PSE] = (b"", 0x6A81)
    run = drive(card)
    assert run.outcome.kind == "blocked_card"
    _has(run, "B1 12.3.2 a")
    card = FakeCard()
    card.answers[_select(AID)] = (b"", 0x6A81)
    run = drive(card)
    assert run.outcome.kind == "blocked_card"
    _has(run, "B1 12.3.3 a")


def test_pse_that_cannot_serve_falls_back_to_the_list():
    for answer, rule in (
        ((b"", 0x6A82), "B1 12.3.2 b"),
        ((b"", 0x6283), "B1 12.3.2 b"),
        ((template(0x6F, [(0x84, b"1PAY.SYS.DDF01")]), 0x9000), "B1 12.3.2 c"),
        ((bytes.fromhex("6F02840"[:6] + "05"), 0x9000), "B1 12.3.2 e"),
    ):
        card = FakeCard()
        card.answers[PSE] = answer
        run = drive(card)
        assert run.outcome.kind == "approved", run.rules()
        _has(run, rule)


def test_pse_record_fault_and_no_match_fall_back():
    card = PseCard()
    _pse(card)
    card.answers["00B2010C"] = (b"", 0x6985)
    run = drive(card)
    assert run.outcome.kind == "approved"
    _has(run, "B1 12.3.2 d")
    card = PseCard()
    _pse(card, [(0x4F, bytes.fromhex("A0000000041010"))])
    run = drive(card)
    assert run.outcome.kind == "approved"
    _has(run, "B1 12.3.2 f")


def test_partial_match_asks_for_the_next_occurrence():
    short = AID[:7]
    card = FakeCard()
    first, second = short + b"\x01", short + b"\x02"
    card.answers[_select(short)] = (_fci(first, b"ONE", 2), 0x9000)
    card.answers[_select(short, True)] = [(_fci(second, b"TWO", 1), 0x9000), (b"", 0x6A82)]
    run = drive(card, terminal=config(aids=[aid_config(aid=short)]), choices=[1])
    choice = next(step for step in run.steps if isinstance(step, steps.ChooseApplication))
    assert [c.name for c in choice.candidates] == ["TWO", "ONE"]
    assert run.outcome.kind == "approved"
    assert run.outcome.aid == first


def test_partial_match_not_allowed():
    short = AID[:7]
    card = FakeCard()
    card.answers[_select(short)] = (_fci(AID), 0x9000)
    card.answers[_select(short, True)] = (b"", 0x6A82)
    run = drive(card, terminal=config(aids=[aid_config(aid=short, partial=False)]))
    assert (run.outcome.kind, run.outcome.reason) == ("not_accepted", "no_application")
    _has(run, "B1 12.4 a")


def test_blocked_application_is_no_candidate():
    card = FakeCard()
    card.answers[_select(AID)] = (_fci(AID), 0x6283)
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("not_accepted", "application_blocked")
    _has(run, "B1 12.3.3 d")


def test_a_chip_that_answers_nonsense_falls_back():
    card = FakeCard()
    card.answers[_select(AID)] = (b"", 0x6F00)
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("fallback", "chip_unusable")
    _has(run, "house h")
    card.answers[_select(AID)] = (b"", 0x6A82)
    assert drive(card).outcome.kind == "not_accepted"


def test_fci_without_df_name_or_with_another():
    card = FakeCard()
    card.answers[_select(AID)] = (template(0x6F, [(0x50, b"X")]), 0x9000)
    run = drive(card)
    assert run.outcome.kind == "not_accepted"
    _has(run, "B1 12.3.3 b")
    card = FakeCard()
    card.answers[_select(AID)] = (_fci(bytes.fromhex("A0000000041010")), 0x9000)
    run = drive(card)
    assert run.outcome.kind == "not_accepted"
    _has(run, "B1 12.3.3 c")


def test_the_cardholder_chooses_by_priority():
    card = FakeCard()
    card.answers[_select(SECOND)] = (_fci(SECOND, b"CREDIT", 2), 0x9000)
    run = drive(card, terminal=_two(), choices=[0])
    choice = next(step for step in run.steps if isinstance(step, steps.ChooseApplication))
    assert [c.name for c in choice.candidates] == ["DEBIT", "CREDIT"]
    assert not choice.again
    _has(run, "B1 12.4 c")
    for refused in (None, 7):
        card = FakeCard()
        card.answers[_select(SECOND)] = (_fci(SECOND, b"CREDIT", 2), 0x9000)
        run = drive(card, terminal=_two(), choices=[refused])
        assert run.outcome.kind == "cancelled"


def test_the_only_application_may_want_consent():
    for agreed, kind in ((True, "approved"), (False, "cancelled")):
        card = FakeCard()
        card.answers[_select(AID)] = (_fci(AID, priority=0x81), 0x9000)
        run = drive(card, choices=[agreed])
        assert "ConfirmApplication" in run.kinds()
        assert run.outcome.kind == kind
        _has(run, "B1 12.4 b")


def test_an_application_that_refuses_is_taken_off():
    card = FakeCard()
    card.answers[_select(AID)] = [(_fci(AID), 0x9000), (b"", 0x6A82)]
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("not_accepted", "application_refused")
    _has(run, "B1 12.4 d")


def test_names_shown():
    card = FakeCard()
    inside = [(0x50, b"LABEL"), (0x87, b"\x81"), (0x9F11, b"\x01"), (0x9F12, b"Karte\xe4")]
    card.answers[_select(AID)] = (
        template(0x6F, [(0x84, AID), (0xA5, template(0xA5, inside)[2:])]),
        0x9000,
    )
    run = drive(card)
    confirm = next(step for step in run.steps if isinstance(step, steps.ConfirmApplication))
    assert confirm.candidate.name == "Karte\xe4"


TABLES = b"\x60\x00\xf0\xa3\x5f"  # code tables 1 to 5, 7, 9, 10


def _named(preferred, table, additional=TABLES):
    """(name to choose by, name on the slip) of a card with a preferred name."""
    card = FakeCard()
    inside = [(0x50, b"LABEL"), (0x87, b"\x81"), (0x9F12, preferred)]
    if table is not None:
        inside.append((0x9F11, table))
    card.answers[_select(AID)] = (
        template(0x6F, [(0x84, AID), (0xA5, template(0xA5, inside)[2:])]),
        0x9000,
    )
    run = drive(card, terminal=config(additional=additional))
    confirm = next(step for step in run.steps if isinstance(step, steps.ConfirmApplication))
    assert run.outcome.name == confirm.candidate.name
    return confirm.candidate.name


def test_preferred_names_in_the_code_tables_that_we_have():
    for table, preferred, name in (
        (1, b"Karte\xe4", "Karteä"),
        (2, b"P\xb3atno\xb6\xe6", "Płatność"),
        (5, b"\xba\xd0\xe0\xe2\xd0", "Карта"),
        (7, b"\xca\xdc\xf1\xf4\xe1", "Κάρτα"),
        (9, b"Kart\xfd\xfe", "Kartış"),
        (10, b"Kort\xfe", "Kortþ"),
    ):
        assert _named(preferred, bytes([table])) == name, table


def test_other_names_fall_back_to_the_label():
    arabic = b"\xc8\xd7\xc7"
    for table, preferred in (
        (None, b"NAME"), (b"", b"NAME"), (b"\x00", b"NAME"), (b"\x01\x01", b"NAME"),
        (b"\x06", arabic), (b"\x08", b"\xe0"), (b"\x0b", b"\xa1"), (b"\xff", b"NAME"),
        (b"\x01", b"A\x80"), (b"\x01", b"A\x1b"), (b"\x07", b"\xff"), (b"\x01", b"   "),
    ):  # fmt: skip
        assert _named(preferred, table) == "LABEL", (table, preferred)
    # A table that the terminal does not claim in 9F40 is not used.
    assert _named(b"\xba", b"\x05", b"\x60\x00\xf0\xa0\x01") == "LABEL"
    # Nor one that it claims and cannot show.
    assert _named(arabic, b"\x06", b"\x60\x00\xf0\xa3\xff") == "LABEL"


def test_directory_names_are_in_the_code_table_of_the_pse():
    card = PseCard()
    _pse(card, [(0x4F, AID), (0x50, b"DEBIT"), (0x87, b"\x81"), (0x9F12, b"\xba\xd0\xe0")])
    inside = template(0xA5, [(0x88, b"\x01"), (0x9F11, b"\x05")])[2:]
    card.answers[PSE] = (template(0x6F, [(0x84, b"1PAY.SYS.DDF01"), (0xA5, inside)]), 0x9000)
    run = drive(card, terminal=config(additional=TABLES))
    confirm = next(step for step in run.steps if isinstance(step, steps.ConfirmApplication))
    assert confirm.candidate.name == "Кар"


def test_gpo_6985_goes_back_to_selection():
    card = FakeCard()
    card.answers[_select(SECOND)] = (_fci(SECOND, b"CREDIT", 2), 0x9000)
    fci = template(0x77, [(0x82, card.aip), (0x94, card.afl)])
    card.answers["80A80000"] = [(b"", 0x6985), (fci, 0x9000)]
    run = drive(card, terminal=_two(), choices=[0, 0])
    assert run.outcome.aid == SECOND
    assert run.outcome.kind == "approved"
    _has(run, "B3 10.1 a")


def test_gpo_refused_or_malformed_ends():
    for answer, rule in (
        ((b"", 0x6A80), "B3 10.1 b"),
        ((bytes.fromhex("7003820218"[:6]), 0x9000), "B3 7.5 a"),
        ((bytes.fromhex("70048202180000"[:12]), 0x9000), "B3 6.5.8.4 a"),
        ((bytes.fromhex("770694040801010" + "0"), 0x9000), "B3 6.5.8.4 b"),
        ((bytes.fromhex("80021C00"), 0x9000), "B3 6.5.8.4 c"),
        ((bytes.fromhex("80051C00080101"), 0x9000), "B3 6.5.8.4 c"),
        ((bytes.fromhex("770882021C0082021C00"), 0x9000), "B3 10.2 d"),
    ):
        card = FakeCard()
        card.answers["80A80000"] = answer
        run = drive(card)
        assert run.outcome.kind == "terminated", rule
        _has(run, rule)


def test_gpo_format_1_and_no_pdol():
    card = FakeCard()
    card.pdol = b""
    card.answers["80A80000"] = (b"\x80\x0a" + card.aip + card.afl, 0x9000)
    run = drive(card)
    assert run.outcome.kind == "approved"
    assert card.log[3].hex() == "80a8000002830000"


def test_pdol_over_252_bytes_ends():
    card = FakeCard()
    card.pdol = bytes.fromhex("9F02FD")
    run = drive(card)
    assert run.outcome.kind == "terminated"
    _has(run, "B3 7.5 a")
