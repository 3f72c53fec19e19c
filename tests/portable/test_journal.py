"""The journal: frames, records, fold, recovery, on files in RAM."""

from firmware import aio
from firmware.cbor import decode, encode
from firmware.errors import TillError
from firmware.hal.files import StorageFull
from firmware.payment.journal import fold, segment, state_codec
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from tests.support.journal_script import answer, commit, fold_bytes, request, sale
from tests.support.memory_files import MemoryFiles
from tests.support.noted_vault import NotedVault


def _refused(error, word, call, *args):
    try:
        call(*args)
    except error as refusal:
        assert word in str(refusal), str(refusal)
        return
    raise AssertionError("accepted; expected: " + word)


async def _opened(files=None, vault=None, segment_bytes=32768):
    files = files or MemoryFiles()
    vault = vault or NotedVault()
    journal = Journal(files, vault, segment_bytes)
    report = await journal.open()
    return journal, report, files, vault


async def _reopened(files, vault, segment_bytes=32768):
    journal = Journal(files, vault, segment_bytes)
    return journal, await journal.open()


def _codes(report):
    return sorted([notice.code for notice in report.notices])


# --- frames ---------------------------------------------------------------


def test_a_frame_reads_back_and_every_changed_bit_is_refused():
    raw = segment.build(9, True, 77, 3, bytes(range(32)), b"\xa1\x01\x02")
    frame = segment.parse(raw, 0)
    assert (frame.kind, frame.critical, frame.sequence, frame.unsynced) == (9, True, 77, 3)
    assert frame.content() == {1: 2} and frame.end == len(raw) == 33
    for i in range(len(raw)):
        for bit in range(8):
            bad = bytearray(raw)
            bad[i] ^= 1 << bit
            assert segment.parse(bytes(bad), 0) is None
    for cut in range(len(raw)):
        assert segment.parse(raw[:cut], 0) is None


def test_frames_of_another_chain_do_not_count():
    start = segment.genesis(1)
    one = segment.build(1, False, 1, 0, start, b"\xa0")
    two = segment.build(1, False, 2, 0, segment.chain(start, one), b"\xa0")
    forged = segment.build(1, False, 2, 0, bytes(32), b"\xa0")
    assert len(segment.scan(one + two, start, 0).good) == 2
    assert len(segment.scan(one + forged, start, 0).good) == 1
    assert len(segment.scan(one + one, start, 0).good) == 1
    found = segment.scan(one + b"\xa7\x4a??" + two, start, 0)
    assert len(found.good) == 1 and [frame.sequence for frame in found.later] == [2]
    assert found.synced == 1


# --- records --------------------------------------------------------------


def test_card_data_is_refused_at_the_door():
    for tag in (0x57, 0x5A, 0x5F24, 0x5F20, 0x56, 0x9F1F, 0x9F20, 0x9F6B, 0x99):
        body = request(1)
        body[r.K_EMV] = {tag: b"\x12\x34"}
        _refused(r.JournalError, "never journalled", r.validate, r.REQUEST, body)
    for template in (0x70, 0x77, 0x6F, 0xBF0C):
        body = request(1)
        body[r.K_EMV] = {template: b"\x57\x01\x00"}
        _refused(r.JournalError, "template", r.validate, r.REQUEST, body)
    for pan in ("6222021234561234", "6222021****1234", "622202***51234", "622202", "62220212a"):
        body = request(1)
        body[r.K_PAN_MASKED] = pan
        _refused(r.JournalError, "key 16", r.validate, r.REQUEST, body)
    for entry in ({"pan": "622202******1234"}, {"track2": "x"}, {"masked_pan": "6222021234561234"}):
        body = commit(1)
        body[r.K_RECEIPT] = entry
        _refused(r.JournalError, "key 31", r.validate, r.COMMIT, body)
    body = commit(1)
    body[r.K_RECEIPT] = {"masked_pan": "622202******1234", "amount": 5, "sign": True}
    r.validate(r.COMMIT, body)


def test_every_key_is_checked_for_presence_type_and_size():
    for kind, body in ((r.REQUEST, request(1)), (r.ANSWER, answer(1)), (r.COMMIT, commit(1))):
        r.validate(kind, body)
        for key in list(body):
            for wrong in (None, 1.5, [1], "x" * 300, -1, b""):
                changed = dict(body)
                changed[key] = wrong
                _refused(r.JournalError, "key " + str(key), r.validate, kind, changed)
        changed = dict(body)
        changed[999] = 1
        _refused(r.JournalError, "999", r.validate, kind, changed)
        changed = dict(body)
        del changed[r.K_STAN]
        _refused(r.JournalError, "missing", r.validate, kind, changed)
    _refused(r.JournalError, "not known", r.validate, 555, {})
    _refused(r.JournalError, "not an outcome", r.validate, r.COMMIT, commit(1, "perhaps"))


# --- fold -----------------------------------------------------------------


def test_a_sale_moves_the_state_as_the_rules_say():
    async def main():
        journal, report, _, vault = await _opened()
        assert report.trading == "ok" and not report.notices
        await journal.append(r.SIGNED_IN, {r.K_KEY_SET: 3, r.K_BATCH: 7, r.K_STAN: 1})
        assert (journal.state.stan, journal.state.batch, journal.state.signed_in) == (2, 7, True)
        await journal.append(r.REQUEST, request(2))
        debt = journal.state.debt
        assert (debt.stan, debt.phase, debt.reason) == (2, fold.SENT, "98")
        assert vault.position == (1, journal.sequence)
        await journal.append(r.ANSWER, answer(2))
        assert (debt.phase, debt.reason) == (fold.ANSWERED, "96")
        await journal.append(r.COMMIT, commit(2, scripts=b"\x10\x00"))
        state = journal.state
        assert state.debt is None and state.totals == {("sale", 156): (1, 1234)}
        assert [owed.stan for owed in state.scripts_owed] == [2]
        assert [owed.printed for owed in state.print_owed] == [[]]
        assert state.last_receipt[r.K_STAN] == 2
        await journal.append(r.PRINTED, {r.K_STAN: 2, r.K_COPY: "merchant"})
        assert not state.print_owed, "the cardholder's copy is nobody's debt"
        await journal.append(r.PRINTED, {r.K_STAN: 2, r.K_COPY: "customer"})
        await journal.append(r.SCRIPT_DONE, {r.K_STAN: 2})
        assert not state.print_owed and not state.scripts_owed
        await journal.append(r.BATCH_CLOSED, {r.K_BATCH: 7})
        assert (state.batch, state.totals, state.transactions) == (8, {}, [])

    aio.run(main())


def test_a_supervisors_acts_owe_their_slips_across_a_restart():
    async def main():
        journal, _, files, vault = await _opened()
        slip = {"slip": "release", "who": "00"}
        await journal.append(r.REQUEST, request(1))
        await journal.append(r.ANSWER, answer(1))
        await journal.append(r.COMMIT, commit(1, scripts=b"\x10\x00"))
        body = {r.K_STAN: 2, r.K_WHO: "00"}
        _refused(r.JournalError, "no debt stands", journal.state.check, r.RELEASED, body)
        given_up = {r.K_STAN: 1, r.K_WHO: "00", r.K_RECEIPT: slip}
        scripts_at = await journal.append(r.RELEASED, given_up)
        assert not journal.state.scripts_owed, "given up"
        assert journal.state.totals, "and the payment stands"
        await journal.append(r.REQUEST, request(2))
        debt_at = await journal.append(r.RELEASED, {r.K_STAN: 2, r.K_WHO: "00", r.K_RECEIPT: slip})
        assert journal.state.debt is None
        owed = [(one.stan, one.sequence) for one in journal.state.print_owed]
        assert owed[1:] == [(1, scripts_at), (2, debt_at)]
        for _ in range(2):  # from the records, then from the checkpoint alone
            again, report = await _reopened(files, vault, 1024)
            assert report.trading == "ok"
            assert fold_bytes(again) == fold_bytes(journal)
            assert again.state.last_receipt[r.K_RECEIPT] == slip
            await again.reserve()
            await again.close()
        again, _ = await _reopened(files, vault)
        printed = {r.K_STAN: 1, r.K_SEQUENCE: scripts_at, r.K_COPY: "merchant"}
        await again.append(r.PRINTED, printed)
        left = [(one.stan, one.sequence) for one in again.state.print_owed]
        assert left == [owed[0], (2, debt_at)], "the sale's own slip is still owed"
        await again.append(r.PRINTED, {r.K_SEQUENCE: debt_at, r.K_COPY: "none"})
        assert [one.stan for one in again.state.print_owed] == [1]

    aio.run(main())


def test_only_legal_steps_follow():
    async def main():
        journal, _, files, _ = await _opened()
        before = files.now["j00000001.seg"]

        async def no(word, kind, body):
            try:
                await journal.append(kind, body)
            except r.JournalError as error:
                assert word in str(error), str(error)
            else:
                raise AssertionError(word)

        await no("no debt", r.ANSWER, answer(1))
        await no("no debt", r.COMMIT, commit(1))
        await no("no debt", r.UNSENT, {r.K_STAN: 1})
        await no("owed", r.SCRIPT_DONE, {r.K_STAN: 1})
        assert files.now["j00000001.seg"] == before  # a refusal writes nothing
        await journal.append(r.REQUEST, request(1))
        await no("a debt stands", r.REQUEST, request(2))
        await no("STAN is 1", r.ANSWER, answer(2))
        await no("only be reversed", r.COMMIT, commit(1))
        await no("only be reversed", r.COMMIT, commit(1, r.OUTCOME_DECLINED))
        await no("no reversal", r.REVERSED, {r.K_STAN: 1})
        await no("cannot close", r.BATCH_CLOSED, {r.K_BATCH: 1})
        await journal.append(r.ANSWER, answer(1, True, "bad"))
        assert journal.state.debt.reason == "A0"
        await no("already", r.ANSWER, answer(1))
        await no("unsent", r.UNSENT, {r.K_STAN: 1})
        await no("MAC", r.COMMIT, commit(1))
        await no("approved or reversed", r.COMMIT, commit(1, r.OUTCOME_DECLINED))
        await journal.append(r.COMMIT, commit(1, r.OUTCOME_REVERSE))
        await no("being reversed", r.COMMIT, commit(1, r.OUTCOME_REVERSE))
        await journal.append(r.REVERSAL_SENT, {r.K_STAN: 1, r.K_ATTEMPT: 1})
        await journal.append(r.REVERSED, {r.K_STAN: 1, r.K_CODE: "00"})
        await journal.append(r.REQUEST, request(2))
        await journal.append(r.ANSWER, answer(2, False))
        await no("did not approve", r.COMMIT, commit(2))

    aio.run(main())


def test_stan_and_batch_wrap_past_zero():
    async def main():
        journal, _, _, _ = await _opened()
        await journal.append(r.SIGNED_IN, {r.K_KEY_SET: 1, r.K_BATCH: 999999})
        await journal.append(r.INTENT, {r.K_STAN: 999999, r.K_TYPE: "sale"})
        await journal.append(r.BATCH_CLOSED, {r.K_BATCH: 999999})
        assert (journal.state.stan, journal.state.batch) == (1, 1)

    aio.run(main())


def test_the_callers_map_may_change_after_append():
    async def main():
        journal, _, _, _ = await _opened()
        body = request(1)
        await journal.append(r.REQUEST, body)
        body[r.K_AMOUNT] = 1
        assert journal.state.debt.request[r.K_AMOUNT] == 1234

    aio.run(main())


# --- recovery -------------------------------------------------------------


def test_reopening_folds_to_the_same_state_across_segments():
    async def main():
        journal, _, files, vault = await _opened(segment_bytes=4096)
        for i in range(15):
            outcome = ("approved", "declined", "reverse")[i % 3]
            await sale(journal, 100 + i, outcome)
        await journal.append(r.REQUEST, request(journal.state.stan))
        assert len(files.now) > 3
        again, report = await _reopened(files, vault, 4096)
        assert report.trading == "ok" and not report.notices
        assert fold_bytes(again) == fold_bytes(journal)
        assert (again.sequence, again.head_hash) == (journal.sequence, journal.head_hash)
        got = []
        while True:
            part = await again.read(got[-1].sequence if got else 0, 7)
            if not part:
                break
            got += part
        assert [one.sequence for one in got] == list(range(1, again.sequence + 1))
        assert got[-1].hash == again.head_hash
        assert again.state.debt is not None

    aio.run(main())


def test_a_torn_tail_is_cut_and_told_at_every_length():
    async def main():
        journal, _, files, vault = await _opened()
        await sale(journal)
        whole = files.now["j00000001.seg"]
        state = fold_bytes(journal)
        await journal.append(r.NOTICE, {r.K_CODE: "late"})
        longer = files.now["j00000001.seg"]
        for size in range(len(whole) + 1, len(longer)):
            disk = MemoryFiles({"j00000001.seg": longer[:size]})
            again, report = await _reopened(disk, vault)
            assert report.trading == "ok" and _codes(report) == ["torn_tail"]
            assert fold_bytes(again) == state and disk.now["j00000001.seg"] == whole
            again, report = await _reopened(disk, vault)
            assert not report.notices

    aio.run(main())


def test_an_old_copy_and_a_missing_journal_are_named():
    async def main():
        journal, _, files, vault = await _opened()
        await sale(journal)
        old = dict(files.now)
        await sale(journal)
        stan = journal.state.stan
        for content, code in ((old, "journal_behind"), ({}, "journal_missing")):
            keeper = NotedVault()
            keeper.position = vault.position
            disk = MemoryFiles(content)
            again, report = await _reopened(disk, keeper)
            assert report.trading == "confirm" and code in _codes(report)
            assert again.epoch == 2 and again.sequence > journal.sequence - 3
            assert again.state.stan >= stan  # no STAN of the lost part is used again
            try:
                await again.append(r.REQUEST, request(9))
            except r.JournalError as error:
                assert "supervisor" in str(error)
            else:
                raise AssertionError("traded on an old copy")
            again, report = await _reopened(disk, keeper)
            assert report.trading == "confirm" and _codes(report) == ["damage_unconfirmed"]
            await again.confirm_damage("00")
            assert again.trading == "ok"
            await sale(again)
            again, report = await _reopened(disk, keeper)
            assert report.trading == "ok" and not report.notices

    aio.run(main())


def test_damage_in_the_middle_is_set_aside_and_the_rest_is_kept():
    async def main():
        journal, _, files, vault = await _opened()
        await sale(journal, 100)
        at = len(files.now["j00000001.seg"])
        await sale(journal, 200)
        await journal.append(r.REQUEST, request(journal.state.stan, 300))
        spoilt = bytearray(files.now["j00000001.seg"])
        spoilt[at + 30] ^= 0x10  # inside the second sale's INTENT
        disk = MemoryFiles({"j00000001.seg": bytes(spoilt)})
        again, report = await _reopened(disk, vault)
        assert report.trading == "confirm" and "damage" in _codes(report)
        assert again.state.debt is not None and again.state.debt.request[r.K_AMOUNT] == 300
        assert again.state.totals == {("sale", 156): (2, 300)}
        assert sorted(disk.now) == ["bad-j00000001.seg", "j00000002.seg"]
        kept = [one.kind for one in await again.read(0, 100)]
        assert kept.count(r.COMMIT) == 2 and kept.count(r.INTENT) == 1

    aio.run(main())


def test_counters_never_go_back_and_outlive_restart_and_roll_over():
    async def main():
        journal, _, files, vault = await _opened(segment_bytes=2048)
        await journal.append(r.BOOT, {r.K_VERSION: "1"}, sync=False)
        await journal.append(r.COUNTERS, {r.K_COUNTS: {r.C_PAPER: 700, r.C_CUTS: 2}}, sync=False)
        served = {r.K_WHO: "00", r.K_COUNTS: {r.C_PAPER: 700}}
        await journal.append(r.SERVICED, served)
        # What a restored copy or a lost record would have said.
        await journal.append(r.COUNTERS, {r.K_COUNTS: {r.C_PAPER: 600, r.C_TAPS: 1}})
        for _ in range(20):  # a roll-over: the checkpoint carries them
            await journal.append(r.NOTICE, {r.K_CODE: "x", r.K_DETAIL: "y" * 200}, sync=False)
        await journal.append(r.ENDED, {r.K_CODE: "stopped"})
        again, report = await _reopened(files, vault, 2048)
        assert report.trading == "ok" and not report.notices and len(files.now) > 1
        state = again.state
        told = {r.C_PAPER: 700, r.C_CUTS: 2, r.C_TAPS: 1, r.C_BOOTS: 1, r.C_ENDS: 1}
        assert state.counters == told and state.serviced == {r.C_PAPER: 700}
        await again.append(r.BOOT, {r.K_VERSION: "1"})
        assert again.state.counters[r.C_BOOTS] == 2 and again.state.counters[r.C_ENDS] == 1

    aio.run(main())


def test_a_counter_has_a_bound():
    state = fold.State()
    state.apply(1, r.COUNTERS, {r.K_COUNTS: {r.C_BOOTS: r.MAX_COUNT}})
    state.apply(2, r.BOOT, {r.K_VERSION: "1"})
    assert state.counters == {r.C_BOOTS: r.MAX_COUNT}
    for counts in (
        {r.C_PAPER: r.MAX_COUNT + 1}, {r.C_PAPER: -1}, {r.C_PAPER: True}, {r.C_PAPER: "1"},
        {0: 1}, {33: 1}, {"paper": 1}, {True: 1}, [1], None,
    ):  # fmt: skip
        _refused(r.JournalError, "key 51", r.validate, r.COUNTERS, {r.K_COUNTS: counts})


def test_a_checkpoint_may_lack_what_no_payment_depends_on():
    state = fold.State()
    state.apply(1, r.BOOT, {r.K_VERSION: "1"})
    whole = state_codec.dump(state)
    assert state_codec.load(decode(encode(whole))).counters == {r.C_BOOTS: 1}
    later = dict(whole)
    later[99] = ["of newer firmware"]
    assert state_codec.load(later).counters == {r.C_BOOTS: 1}
    before = {key: whole[key] for key in whole if key < 64}
    assert state_codec.load(before).counters == {}
    for key, value in ((15, 1), ("x", 1), (64, {1: -1}), (65, 7)):
        wrong = dict(whole)
        wrong[key] = value
        _refused(r.JournalError, "", state_codec.load, wrong)
    del before[1]
    _refused(r.JournalError, "other keys", state_codec.load, before)


def test_a_checkpoint_of_another_vault_is_not_trusted():
    async def main():
        journal, _, files, _ = await _opened()
        await sale(journal)
        await journal.append(r.REQUEST, request(journal.state.stan))
        again, report = await _reopened(files, NotedVault(b"another"))
        assert report.trading == "confirm" and "checkpoint_unverified" in _codes(report)
        assert again.state.debt is not None  # a debt is rather owed twice than lost

    aio.run(main())


def test_unknown_records_block_only_when_critical():
    async def main():
        for critical, trading in ((False, "ok"), (True, "blocked")):
            journal, _, files, vault = await _opened()
            await sale(journal)
            newer = segment.build(
                444, critical, journal.sequence + 1, 0, journal.head_hash, b"\xa0"
            )
            content = files.now["j00000001.seg"] + newer
            disk = MemoryFiles({"j00000001.seg": content})
            again, report = await _reopened(disk, vault)
            assert report.trading == trading and _codes(report) == (
                ["record_unknown"] if critical else []
            )
            if critical:
                assert disk.now["j00000001.seg"] == content
                try:
                    await again.append(r.BOOT, {r.K_VERSION: "1"})
                except r.JournalError:
                    pass
                else:
                    raise AssertionError("wrote into a newer journal")
            else:
                await sale(again)

    aio.run(main())


def test_hostile_files_end_in_named_notices():
    async def main():
        vault = NotedVault()
        for junk in (
            b"",
            b"\xa7\x4a" * 3000,
            bytes(5000),
            b"\xa7\x4a\x01\x01\x00\x00\xff\xff" * 900,
            bytes(range(256)) * 600,
            segment.build(r.CHECKPOINT, True, 0, 0, bytes(32), encode({1: b"", "x": 1})),
            segment.build(
                r.CHECKPOINT,
                True,
                0,
                0,
                bytes(32),
                encode({1: encode({1: 1, "x": 1}), 2: b""}),
            ),
        ):
            files = MemoryFiles({"j00000003.seg": junk, "j99999999.seg": junk, "jx.seg": junk})
            journal, report = await _reopened(files, NotedVault())
            assert report.trading == "confirm" and report.notices
            await journal.confirm_damage("00")
            await sale(journal)
        files = MemoryFiles({"j00000001.seg": b"\xa7\x4a\x01"})
        journal, report = await _reopened(files, vault)
        assert report.trading == "ok"  # the very first start was cut
        await sale(journal)

    aio.run(main())


def test_no_room_refuses_the_payment_and_harms_nothing():
    async def main():
        journal, _, files, vault = await _opened()
        await sale(journal)
        state = fold_bytes(journal)

        async def little():
            return 1000

        files.free = little
        try:
            await journal.reserve()
        except StorageFull as error:
            assert "1000" in str(error)
        else:
            raise AssertionError("reserved")
        again, report = await _reopened(files, vault)
        assert fold_bytes(again) == state and report.trading == "ok"

    aio.run(main())


def test_old_segments_expire_but_not_what_the_batch_needs():
    async def main():
        journal, _, files, vault = await _opened(segment_bytes=2048)
        await sale(journal, 777)
        first = journal.state.transactions[0].sequence
        for _ in range(700):
            await journal.append(r.NOTICE, {r.K_CODE: "x", r.K_DETAIL: "y" * 200}, sync=False)
        assert [one.sequence for one in await journal.read(first - 1, 1)] == [first]
        await journal.append(r.BATCH_CLOSED, {r.K_BATCH: 1})
        for _ in range(30):
            await journal.append(r.NOTICE, {r.K_CODE: "x", r.K_DETAIL: "y" * 200}, sync=False)
        assert len(files.now) <= 66
        assert (await journal.read(0, 1))[0].sequence > first
        again, report = await _reopened(files, vault, 2048)
        assert report.trading == "ok" and not report.notices
        assert fold_bytes(again) == fold_bytes(journal)

    aio.run(main())


def test_errors_of_the_journal_are_till_errors():
    assert issubclass(r.JournalError, TillError)
