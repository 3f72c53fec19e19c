"""Any day folds the same after a restart; any damage is named, never raised."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware.errors import TillError
from firmware.payment.journal import records as r
from firmware.payment.journal import segment
from firmware.payment.journal.checkpoint import segment_name
from firmware.payment.journal.journal import Journal
from tests.support.journal_script import answer, commit, fold_bytes, request, sale
from tests.support.memory_files import MemoryFiles
from tests.support.noted_vault import NotedVault
from tests.support.virtual_time import run

SEGMENT = 2048
OUTCOMES = (r.OUTCOME_APPROVED, r.OUTCOME_DECLINED, r.OUTCOME_REVERSE)
STEPS = st.sampled_from(
    ["intent", "request", "unsent", "yes", "no", "bad mac", "approved", "declined", "reverse"]
    + ["scripts", "sent", "reversed", "released", "print", "done", "close", "in", "out", "set"]
    + ["notice", "lock", "boot", "count", "served", "ended", "asked", "asked for", "uncharged"]
    + ["reserve", "restart", "sale", "sale", "sale"]
)


def _body(step: str, journal: Journal, number: int) -> "tuple[int, dict[int, Any]]":
    state = journal.state
    stan = state.debt.stan if state.debt is not None else state.stan
    mine = {r.K_STAN: stan}
    copy = r.COPIES[number % 2]
    owed = state.scripts_owed[0].stan if state.scripts_owed else 1
    printed = state.print_owed[0].stan if state.print_owed else 1
    table: dict[str, tuple[int, dict[int, Any]]] = {
        "intent": (r.INTENT, {r.K_STAN: state.stan, r.K_TYPE: "sale"}),
        "request": (r.REQUEST, request(state.stan, number, state.batch)),
        "unsent": (r.UNSENT, mine),
        "yes": (r.ANSWER, answer(stan)),
        "no": (r.ANSWER, answer(stan, False)),
        "bad mac": (r.ANSWER, answer(stan, True, "bad")),
        "approved": (r.COMMIT, commit(stan)),
        "declined": (r.COMMIT, commit(stan, r.OUTCOME_DECLINED)),
        "reverse": (r.COMMIT, commit(stan, r.OUTCOME_REVERSE, b"\x01")),
        "scripts": (r.COMMIT, commit(stan, scripts=b"\x21\x00")),
        "sent": (r.REVERSAL_SENT, {r.K_STAN: stan, r.K_ATTEMPT: number + 1}),
        "reversed": (r.REVERSED, {r.K_STAN: stan, r.K_CODE: "00"}),
        "released": (r.RELEASED, {r.K_STAN: stan, r.K_WHO: "00"}),
        "print": (r.PRINTED, {r.K_STAN: printed, r.K_COPY: copy}),
        "done": (r.SCRIPT_DONE, {r.K_STAN: owed}),
        "close": (r.BATCH_CLOSED, {r.K_BATCH: state.batch}),
        "in": (r.SIGNED_IN, {r.K_KEY_SET: number, r.K_BATCH: number % 999999 + 1}),
        "out": (r.SIGNED_OUT, {}),
        "set": (r.SETTING, {r.K_NAME: f"s{number % 40}", r.K_VALUE: number}),
        "notice": (r.NOTICE, {r.K_CODE: "x", r.K_DETAIL: "y" * (number % 200)}),
        "boot": (r.BOOT, {r.K_VERSION: "1"}),
        "count": (r.COUNTERS, {r.K_COUNTS: {number % 8 + 1: number}}),
        "served": (r.SERVICED, {r.K_WHO: "00", r.K_COUNTS: {number % 8 + 1: number}}),
        "ended": (r.ENDED, {r.K_CODE: "stopped"}),
        "asked": (r.INTENT, {r.K_STAN: state.stan, r.K_TYPE: "sale", **_asked(number)}),
        "asked for": (
            r.REQUEST,
            {**request(state.stan, number, state.batch), **_asked(number)},
        ),
        "uncharged": (
            r.UNCHARGED,
            {
                r.K_AMOUNT: number,
                r.K_CURRENCY: 156,
                r.K_OUTCOME: "cancelled",
                r.K_REASON: "x",
                **_asked(number),
            },
        ),
        "lock": (r.LOCKOUT, {r.K_WHO: f"{number % 20}", r.K_FAILURES: number % 4}),
    }
    return table[step]


def _asked(number: int) -> dict[int, Any]:
    """A register's name for its payment, and the digest of one of two requests."""
    return {r.K_REFERENCE: f"till:{number // 3}", r.K_DIGEST: bytes((number % 3 == 0,)) * 32}


async def _live(
    steps: list[tuple[str, int, bool]],
) -> tuple[Journal, MemoryFiles, NotedVault]:
    files, vault = MemoryFiles(), NotedVault()
    journal = Journal(files, vault, SEGMENT)
    await journal.open()
    for step, number, sync in steps:
        if step == "reserve":
            try:
                await journal.reserve()
            except r.JournalError:
                assert len(journal.state.scripts_owed) == 2
        elif step == "sale":
            if journal.state.debt is None and len(journal.state.scripts_owed) < 2:
                await sale(journal, number, OUTCOMES[number % 3])
        elif step == "restart":
            before = fold_bytes(journal), journal.sequence, journal.head_hash
            journal = Journal(files, vault, SEGMENT)
            report = await journal.open()
            assert report.trading == "ok" and not report.notices
            assert (fold_bytes(journal), journal.sequence, journal.head_hash) == before
        else:
            kind, body = _body(step, journal, number)
            before = fold_bytes(journal), journal.sequence, journal.head_hash
            try:
                await journal.append(kind, body, sync)
            except r.JournalError:  # not legal now: then nothing changed
                assert (fold_bytes(journal), journal.sequence, journal.head_hash) == before
    await journal.append(r.NOTICE, {r.K_CODE: "end"})  # all of it is durable
    return journal, files, vault


LIVES = st.lists(st.tuples(STEPS, st.integers(0, 999999), st.booleans()), max_size=60)


@settings(deadline=None, max_examples=60)
@given(LIVES)
def test_any_life_folds_the_same_after_a_restart(steps: list[tuple[str, int, bool]]) -> None:
    async def main() -> None:
        journal, files, vault = await _live(steps)
        again = Journal(files, vault, SEGMENT)
        report = await again.open()
        assert report.trading == "ok" and not report.notices
        assert fold_bytes(again) == fold_bytes(journal)
        got = await again.read(0, 10000)
        assert [one.sequence for one in got] == list(range(1, journal.sequence + 1))
        assert got[-1].hash == journal.head_hash

    run(main())


DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "zero", "drop", "junk", "swap", "older", "grow"]),
        st.integers(0, 1 << 30),
        st.integers(0, 1 << 30),
    ),
    min_size=1,
    max_size=3,
)


def _spoil(content: dict[str, bytes], how: str, a: int, b: int) -> None:
    names = sorted(content)
    if not names:
        return
    name = names[a % len(names)]
    data = bytearray(content[name])
    at = b % (len(data) + 1)
    if how == "flip" and data:
        data[b % len(data)] ^= 1 << (a % 8)
    elif how == "cut":
        del data[at:]
    elif how == "zero":
        size = len(data[at : at + 600])
        data[at : at + size] = bytes(size)
    elif how == "junk":
        data[at:at] = segment.MAGIC * (a % 50)
    elif how == "grow":
        data += bytes(a % 3000)
    elif how == "swap":
        other = names[b % len(names)]
        content[name], content[other] = content[other], content[name]
        return
    elif how == "older":
        data[at:] = data[max(0, at - 300) : at]
    content[name] = bytes(data)
    if how == "drop":
        del content[name]


@settings(deadline=None, max_examples=150)
@given(LIVES, DAMAGE)
# A segment emptied before one that is damaged is no interrupted roll-over.
@example([("sale", 0, False)] * 5 + [("reserve", 0, False)], [("flip", 80, 0), ("cut", 1, 0)])
@example([("sale", 0, False)] * 5 + [("reserve", 0, False)], [("flip", 80, 0), ("drop", 1, 0)])
def test_damage_is_named_and_what_reads_is_kept(
    steps: list[tuple[str, int, bool]], damage: list[tuple[str, int, int]]
) -> None:
    async def main() -> None:
        journal, files, vault = await _live(steps)
        noted = vault.position[1]
        had = {one.sequence: one.hash for one in await journal.read(0, 10000)}
        content = dict(files.now)
        for how, a, b in damage:
            _spoil(content, how, a, b)
        spoilt = MemoryFiles(content)
        again = Journal(spoilt, vault, SEGMENT)
        report = await again.open()
        got = {one.sequence: one.hash for one in await again.read(0, 10000)}
        lost = set(had) - set(got)
        if report.trading == "ok":
            # Past the last REQUEST or COMMIT, which the vault knows, a file cannot
            # tell a removed record from one that was never written; what may be
            # lost there (an answer, a print, a 0410) is done again harmlessly.
            assert all(sequence > noted for sequence in lost), report.notices
            assert {one: got[one] for one in got} == {one: had[one] for one in got}
            if not lost:
                assert fold_bytes(again) == fold_bytes(journal)
        if report.trading == "blocked":
            return
        if report.trading == "confirm":
            await again.confirm_damage("00")
        debt = again.state.debt
        if debt is not None:
            await again.append(r.RELEASED, {r.K_STAN: debt.stan, r.K_WHO: "00"})
        for owed in list(again.state.scripts_owed):
            await again.append(r.SCRIPT_DONE, {r.K_STAN: owed.stan})
        await again.reserve()
        await again.append(r.REQUEST, request(again.state.stan))
        last = Journal(spoilt, vault, SEGMENT)
        report = await last.open()
        assert report.trading == "ok" and not report.notices, report.notices
        assert fold_bytes(last) == fold_bytes(again)

    run(main())


NUMBERS = st.sampled_from([1, 2, 3, 4, 800, 1001, 5000, 10_001_000, 99_999_999])


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(NUMBERS.map(segment_name), st.binary()))
def test_any_files_open_without_another_error(content: dict[str, bytes]) -> None:
    async def main() -> None:
        files, vault = MemoryFiles(content), NotedVault()
        journal = Journal(files, vault, SEGMENT)
        report = await journal.open()
        assert report.trading == ("confirm" if content.keys() - {"j00000001.seg"} else "ok") or (
            report.notices
        )
        await journal.append(r.NOTICE, {r.K_CODE: "after"})
        again = Journal(files, vault, SEGMENT)
        named = {one.code for one in (await again.open()).notices}
        assert named <= {"damage_unconfirmed"}
        assert again.sequence == journal.sequence

    run(main())


_VALUES = st.none() | st.integers() | st.text(max_size=30) | st.binary(max_size=30) | st.booleans()
_BODIES = st.dictionaries(
    st.integers(0, 50),
    _VALUES | st.lists(_VALUES, max_size=3) | st.dictionaries(st.integers() | st.text(), _VALUES),
    max_size=12,
)


@given(st.integers(0, 22), _BODIES)
def test_any_body_is_valid_or_a_named_refusal(kind: int, body: dict[int, Any]) -> None:
    try:
        r.validate(kind, body)
    except TillError as error:
        assert "kind" in str(error)
