"""Payments that registers asked for: the fold by reference."""

from firmware import aio
from firmware.cbor import decode, encode
from firmware.payment.journal import fold, registered, segment, state_codec
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from tests.support.journal_script import answer, commit, request
from tests.support.memory_files import MemoryFiles
from tests.support.noted_vault import NotedVault

SALE = "nexo:till-1:0001"
DIGEST = bytes(range(32))
OTHER = bytes(32)


def _refused(word, call, *args):
    try:
        call(*args)
    except r.JournalError as refusal:
        assert word in str(refusal), str(refusal)
        return
    raise AssertionError("accepted; expected: " + word)


def _named(body, reference=SALE, digest=DIGEST):
    body[r.K_REFERENCE] = reference
    body[r.K_DIGEST] = digest
    return body


def _intent(stan, reference=SALE, digest=DIGEST):
    body = {r.K_STAN: stan, r.K_TYPE: "sale", r.K_AMOUNT: 1234, r.K_CURRENCY: 156, r.K_BATCH: 1}
    return _named(body, reference, digest)


def _uncharged(reference=SALE, digest=DIGEST, outcome="cancelled", reason="error.cancelled"):
    body = {r.K_AMOUNT: 1234, r.K_CURRENCY: 156, r.K_OUTCOME: outcome, r.K_REASON: reason}
    return _named(body, reference, digest)


def _folded(*records):
    """The state after these (kind, body), each checked; also after a checkpoint."""
    state = fold.State()
    for at in range(len(records)):
        kind, body = records[at]
        r.validate(kind, body)
        state.check(kind, body)
        state.apply(at + 1, kind, body)
        state = state_codec.load(decode(encode(state_codec.dump(state)), max_size=30000))
    return state


def _told(state, reference=SALE):
    one = state.registered.find(reference)
    return None if one is None else (one.outcome, one.amount, one.stan, one.reason)


START = [(r.INTENT, _intent(7)), (r.REQUEST, _named(request(7)))]


def test_each_step_of_a_payment_has_its_outcome():
    assert _told(_folded()) is None
    assert _told(_folded(*START[:1])) == ("begun", 1234, 7, "")
    assert _told(_folded(*START)) == ("unknown", 1234, 7, "")
    answered = START + [(r.ANSWER, answer(7))]
    assert _told(_folded(*answered)) == ("unknown", 1234, 7, "")
    state = _folded(*(answered + [(r.COMMIT, commit(7))]))
    assert _told(state) == ("approved", 1234, 7, "")
    one = state.registered.find(SALE)
    assert (one.requested, one.sequence, one.currency, one.batch) == (2, 4, 156, 1)
    refused = START + [(r.ANSWER, answer(7, False)), (r.COMMIT, commit(7, "declined"))]
    assert _told(_folded(*refused)) == ("declined", 1234, 7, "")
    unsent = START + [(r.UNSENT, {r.K_STAN: 7})]
    assert _told(_folded(*unsent)) == ("begun", 1234, 7, "")


def test_a_partial_approval_tells_what_was_approved():
    body = answer(7)
    body[r.K_AMOUNT] = 1000
    assert _told(_folded(*(START + [(r.ANSWER, body), (r.COMMIT, commit(7))])))[1] == 1000


def test_what_is_reversed_is_unknown_until_then():
    broken = START + [(r.COMMIT, commit(7, "reverse"))]
    assert _told(_folded(*broken)) == ("unknown", 1234, 7, "")
    sent = broken + [(r.REVERSAL_SENT, {r.K_STAN: 7, r.K_ATTEMPT: 1})]
    assert _told(_folded(*sent)) == ("unknown", 1234, 7, "")
    done = sent + [(r.REVERSED, {r.K_STAN: 7})]
    assert _told(_folded(*done)) == ("reversed", 1234, 7, "")
    given_up = broken + [(r.RELEASED, {r.K_STAN: 7, r.K_WHO: "00"})]
    assert _told(_folded(*given_up)) == ("unknown", 1234, 7, "released")


def test_an_end_without_a_request_says_why():
    assert _told(_folded((r.UNCHARGED, _uncharged()))) == ("cancelled", 1234, 0, "error.cancelled")
    declined = START[:1] + [(r.UNCHARGED, _uncharged(outcome="declined", reason="x"))]
    assert _told(_folded(*declined)) == ("declined", 1234, 7, "x")
    for outcome in ("approved", "reverse", "unknown"):
        _refused("not an outcome", r.validate, r.UNCHARGED, _uncharged(outcome=outcome))


def test_a_reference_is_never_charged_twice():
    paid = START + [(r.ANSWER, answer(7)), (r.COMMIT, commit(7))]
    for ended in (
        paid,
        START + [(r.COMMIT, commit(7, "reverse")), (r.RELEASED, {r.K_STAN: 7, r.K_WHO: "0"})],
        START[:1] + [(r.UNCHARGED, _uncharged())],
    ):
        state = _folded(*ended)
        for kind, body in (
            (r.INTENT, _intent(8)),
            (r.REQUEST, _named(request(8))),
            (r.UNCHARGED, _uncharged()),
        ):
            _refused("has ended", state.check, kind, body)
        state.check(r.REQUEST, _named(request(8), "another"))


def test_after_a_wrong_pin_the_same_payment_goes_on():
    wrong = START + [(r.ANSWER, answer(7, False)), (r.COMMIT, commit(7, "declined"))]
    again = wrong + [(r.INTENT, _intent(8)), (r.REQUEST, _named(request(8)))]
    assert _told(_folded(*again)) == ("unknown", 1234, 8, "")
    assert _told(_folded(*(again[:-1] + [(r.UNCHARGED, _uncharged())])))[0] == "cancelled"
    assert (
        _told(_folded(*(again + [(r.ANSWER, answer(8)), (r.COMMIT, commit(8))])))[0] == "approved"
    )


def test_another_request_under_the_same_name_is_refused():
    state = _folded(*START[:1])
    for kind, body in ((r.INTENT, _intent(8, SALE, OTHER)), (r.UNCHARGED, _uncharged(SALE, OTHER))):
        _refused("another request", state.check, kind, body)


def test_references_are_bounded_in_kind_and_size():
    for wrong in ("", "x" * 81, "收银台", "a\nb", "a\x7f", 7, None, b"x"):
        _refused("key 52", r.validate, r.INTENT, _intent(1, wrong))
    for wrong in (b"", bytes(31), bytes(33), "x" * 32):
        _refused("key 53", r.validate, r.INTENT, _intent(1, SALE, wrong))
    for key in (r.K_REFERENCE, r.K_DIGEST):
        body = _intent(1)
        del body[key]
        _refused("digest", r.validate, r.INTENT, body)
    r.validate(r.INTENT, _intent(1, "x" * 80))


def test_payments_of_the_merchant_stay_out():
    keyed = [
        (r.INTENT, {r.K_STAN: 7, r.K_TYPE: "sale"}), (r.REQUEST, request(7)),
        (r.ANSWER, answer(7)), (r.COMMIT, commit(7)),
    ]  # fmt: skip
    assert _folded(*keyed).registered.kept == []


def test_a_thousand_references_keep_the_last_and_what_is_owed():
    state = _folded(*START)  # its end is yet to be told
    for at in range(1000):
        state.apply(at + 10, r.UNCHARGED, _uncharged("till:" + str(at)))
    kept = [one.reference for one in state.registered.kept]
    assert len(kept) == registered.MAX_PAYMENTS >= 32
    assert kept == [SALE] + ["till:" + str(at) for at in range(969, 1000)]
    state.apply(2000, r.COMMIT, commit(7, "reverse"))
    state.apply(2001, r.RELEASED, {r.K_STAN: 7, r.K_WHO: "0"})
    for at in range(1000, 1040):  # it may have been charged: it stays before the cancelled ones
        state.apply(at + 1002, r.UNCHARGED, _uncharged("till:" + str(at)))
    assert _told(state) == ("unknown", 1234, 7, "released")
    assert len(state.registered.kept) == len(kept)


def test_what_charged_nobody_makes_room_before_an_approval():
    state = fold.State()
    for at in range(40):
        name = "till:" + str(at)
        if at % 4 == 0:
            for kind, body in (
                (r.INTENT, _intent(at + 1, name)), (r.REQUEST, _named(request(at + 1), name)),
                (r.ANSWER, answer(at + 1)), (r.COMMIT, commit(at + 1)),
            ):  # fmt: skip
                state.apply(at * 4 + 1, kind, body)
        else:
            state.apply(at * 4 + 1, r.UNCHARGED, _uncharged(name))
    for at in range(50):
        state.apply(at + 200, r.UNCHARGED, _uncharged("flood:" + str(at)))
    approved = [one.reference for one in state.registered.kept if one.outcome == "approved"]
    assert approved == ["till:" + str(at) for at in range(0, 40, 4)]
    assert len(state.registered.kept) == registered.MAX_PAYMENTS
    assert state.registered.kept[-1].reference == "flood:49"


def test_lost_records_leave_no_outcome_behind_that_nobody_knows():
    state = _folded(*START)
    state.absorb(9, r.REQUEST, request(8))  # so the first one ended somehow
    assert _told(state)[0] == "unknown"
    state.absorb(10, r.ANSWER, answer(8))
    state.absorb(11, r.COMMIT, commit(8))
    assert _told(state)[0] == "unknown"
    state.absorb(12, r.UNCHARGED, _uncharged("lost"))
    assert _told(state, "lost")[0] == "cancelled"


def test_a_checkpoint_keeps_what_fits_and_refuses_what_is_no_payment():
    state = fold.State()
    for at in range(40):
        reason = "error." + "x" * 34
        state.apply(
            at + 1, r.UNCHARGED, _uncharged("r" * 76 + str(at + 1000), DIGEST, "cancelled", reason)
        )
    whole = state_codec.dump(state)
    assert len(encode(whole[66])) < 6000 < segment.MAX_FRAME_BODY // 4
    assert state_codec.load(decode(encode(whole))).registered.kept[-1].reason == reason
    row = list(whole[66][0])
    for at, wrong in ((0, 7), (1, b"short"), (2, -1), (3, 1000), (4, "x"), (6, "paid"), (9, None)):
        bad = list(row)
        bad[at] = wrong
        changed = dict(whole)
        changed[66] = [bad]
        _refused("malformed", state_codec.load, changed)
    changed = dict(whole)
    changed[66] = [row[:9]]
    _refused("malformed", state_codec.load, changed)


def test_the_journal_tells_it_after_restart_and_roll_over():
    async def main():
        files, vault = MemoryFiles(), NotedVault()
        journal = Journal(files, vault, 2048)
        await journal.open()
        for kind, body in START + [(r.ANSWER, answer(7)), (r.COMMIT, commit(7))]:
            await journal.append(kind, body)
        for _ in range(20):
            await journal.append(r.NOTICE, {r.K_CODE: "x", r.K_DETAIL: "y" * 200}, sync=False)
        await journal.append(r.UNCHARGED, _uncharged("later"))
        again = Journal(files, vault, 2048)
        report = await again.open()
        assert report.trading == "ok" and not report.notices and len(files.now) > 1
        assert _told(again.state) == ("approved", 1234, 7, "")
        assert _told(again.state, "later")[0] == "cancelled"

    aio.run(main())
