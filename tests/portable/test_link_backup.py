"""The ledger goes into an archive and onto a new terminal, and nothing is paid twice for it."""

from firmware import aio, cbor
from firmware.crypto import CryptoError
from firmware.crypto.x25519 import KeyPair
from firmware.errors import TillError
from firmware.link import archive
from firmware.link.services import CallRefused
from firmware.payment.journal import fold
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from firmware.services.link_backup import PASS_STANS, LinkBackup, Owner
from tests.support import vault_parts
from tests.support.journal_script import answer, commit, request, sale
from tests.support.made_call import MadeCall, ask, played, refused
from tests.support.memory_files import MemoryFiles, PowerCut
from tests.support.noted_vault import NotedVault

OLD, NEW = KeyPair(bytes([1]) * 32), KeyPair(bytes([2]) * 32)
PC = KeyPair(bytes([9]) * 32)
NOW = 1_775_000_000


class Shop(Owner):
    def __init__(self, serial):
        self.serial = serial
        self.terminal, self.merchant = "12345678", "123456789012345"
        self.at_work = False
        self.time = NOW
        self.told = 0

    def busy(self):
        return self.at_work

    async def now(self):
        return self.time

    def restored(self):
        self.told += 1


class Terminal:
    def __init__(self, serial, static, files=None, vault=None):
        self.files = files or MemoryFiles()
        self.vault = vault or NotedVault(serial.encode())
        self.journal = Journal(self.files, self.vault, 8192)
        self.shop = Shop(serial)
        self.static = static
        self.entropy = vault_parts.SeededEntropy(serial.encode())
        self.services = LinkBackup(
            self.journal, self.files, self.entropy, self._static, self.shop
        ).handlers()

    async def _static(self):
        return self.static

    async def begin(self):
        await self.journal.open()
        return self

    async def archive(self):
        call = await ask(self.services, "backup", {1: PC.public})
        data = b"".join([item[1] for item in call.items])
        return data, archive.key_for(_header(data), PC)


def _header(data):
    return data[2 : 2 + (data[0] << 8 | data[1])]


def _coming(data, piece=1500):
    coming = []
    for at in range(0, len(data), piece):
        coming.append((False, {1: data[at : at + piece]}))
    import hashlib

    coming.append((True, {1: hashlib.sha256(data).digest()}))
    return coming


async def _restore(terminal, data, key, coming=None, size=None):
    call = MadeCall("restore", {1: len(data) if size is None else size, 2: key})
    call.coming = _coming(data) if coming is None else coming
    await terminal.services["restore"](call)
    return call.ended


async def _restore_refused(terminal, data, key, coming=None, size=None):
    try:
        ended = await _restore(terminal, data, key, coming, size)
    except CallRefused as error:
        return error.code
    raise AssertionError("restored: " + str(ended))


async def _old(sales=3):
    old = await Terminal("OLD", OLD).begin()
    await old.journal.append(r.SETTING, {r.K_NAME: "language", r.K_VALUE: "zh"})
    await old.journal.append(r.SETTING, {r.K_NAME: "bundle", r.K_VALUE: 77})
    for amount in range(1, sales + 1):
        await sale(old.journal, 100 * amount)
    return old


async def _new(files=None, vault=None):
    new = await Terminal("NEW", NEW, files, vault).begin()
    if files is None:
        await new.journal.append(r.BOOT, {r.K_VERSION: "1"})
        await new.journal.append(r.SETTING, {r.K_NAME: "bundle", r.K_VALUE: 99})
    return new


def _ledger(journal):
    state = journal.state
    rows = []
    for one in state.transactions:
        rows.append((one.stan, one.type, one.currency, one.amount, one.status))
    return state.batch, rows, dict(state.totals)


@played
async def test_a_new_terminal_has_the_same_ledger_once_a_supervisor_confirms():
    old = await _old()
    data, key = await old.archive()
    new = await _new()
    assert await _restore(new, data, key) == {1: []}
    for terminal in (new, await _new(new.files, new.vault)):
        state = terminal.journal.state
        assert _ledger(terminal.journal) == _ledger(old.journal)
        assert state.totals == {("sale", 156): (3, 600)}
        assert state.settings["language"] == "zh" and state.settings["bundle"] == 99
        assert state.unconfirmed and terminal.journal.trading == "confirm"
        assert state.stan == old.journal.state.stan + PASS_STANS
        for one in state.transactions:
            (record,) = await terminal.journal.read(one.sequence - 1, 1)
            assert record.body[r.K_RECEIPT] == commit(1)[r.K_RECEIPT]
    assert new.shop.told == 1
    await new.journal.confirm_damage("supervisor")
    await sale(new.journal, 50)
    assert new.journal.state.totals == {("sale", 156): (4, 650)}
    assert await new.vault.journal_position() >= (1, new.journal.head()[0] - 3)


@played
async def test_no_debt_comes_back_and_no_stan_is_used_again():
    for stage in ("request", "answer", "reverse", "scripts"):
        old = await _old(2)
        stan = old.journal.state.stan
        await old.journal.append(r.REQUEST, request(stan, 4321))
        if stage != "request":
            await old.journal.append(r.ANSWER, answer(stan))
        if stage == "reverse":
            await old.journal.append(r.COMMIT, commit(stan, r.OUTCOME_REVERSE))
        if stage == "scripts":
            await old.journal.append(r.COMMIT, commit(stan, scripts=b"\x01\x02"))
        data, key = await old.archive()
        used = [stan]
        for _ in range(3):  # and it went on after the backup
            if old.journal.state.debt is not None:
                if old.journal.state.debt.answer is None:
                    await old.journal.append(r.ANSWER, answer(stan))
                if stage == "reverse":
                    await old.journal.append(r.REVERSAL_SENT, {r.K_STAN: stan, r.K_ATTEMPT: 1})
                    await old.journal.append(r.REVERSED, {r.K_STAN: stan, r.K_CODE: "00"})
                else:
                    await old.journal.append(r.COMMIT, commit(stan))
            if old.journal.state.scripts_owed:
                await old.journal.append(r.SCRIPT_DONE, {r.K_STAN: stan})
            used.append(await sale(old.journal, 10))
        new = await _new()
        assert await _restore(new, data, key) == {1: [[stan, 4321, 156]]}
        for terminal in (new, await _new(new.files, new.vault)):
            state = terminal.journal.state
            assert state.debt is None and state.scripts_owed == []
            count = 3 if stage == "scripts" else 2
            assert len(state.transactions) == count
        told = [one.body for one in await new.journal.read(0, 500) if one.kind == r.NOTICE]
        assert [one[r.K_STAN] for one in told if one[r.K_CODE] == "restored_open"] == [stan]
        await new.journal.confirm_damage("supervisor")
        for _ in range(3):
            assert await sale(new.journal, 10) not in used


@played
async def test_stans_are_passed_over_by_the_days_since():
    old = await _old(1)
    data, key = await old.archive()
    for days, passed in ((0, 10_000), (5, 10_000), (30, 30_000), (5000, 400_000)):
        new = await _new()
        new.shop.time = NOW + days * 86_400
        await _restore(new, data, key)
        assert new.journal.state.stan == old.journal.state.stan + passed
    old.journal.state.stan = 995_000  # it goes round
    data, key = await old.archive()
    new = await _new()
    await _restore(new, data, key)
    assert new.journal.state.stan == 5_001


@played
async def test_only_a_terminal_without_payments_takes_a_ledger():
    old = await _old()
    data, key = await old.archive()
    assert await _restore_refused(old, data, key) == "used"
    new = await _new()
    await _restore(new, data, key)
    assert await _restore_refused(new, data, key) == "used"
    await new.journal.confirm_damage("supervisor")
    await new.journal.append(r.BATCH_CLOSED, {r.K_BATCH: new.journal.state.batch})
    assert await _restore_refused(new, data, key) == "used"
    other = await _new()
    await sale(other.journal, outcome=r.OUTCOME_DECLINED)
    assert await _restore_refused(other, data, key) == "used"
    # Whose journal was taken away: the vault still knows of it.
    robbed = await Terminal("NEW", NEW, MemoryFiles(), other.vault).begin()
    assert await _restore_refused(robbed, data, key) == "used"
    foreign = await _new()
    foreign.shop.merchant = "999999999999999"
    assert await _restore_refused(foreign, data, key) == "foreign"
    busy = await _new()
    busy.shop.at_work = True
    assert await _restore_refused(busy, data, key) == "busy"
    bare = await _new()
    bare.shop.terminal = bare.shop.merchant = ""
    assert await _restore_refused(bare, data, key) == "failed"
    assert (await refused(bare.services, "backup", {1: PC.public}))[0] == "failed"


@played
async def test_a_spoilt_archive_changes_nothing_and_a_good_one_goes_after_it():
    old = await _old(2)
    data, key = await old.archive()
    new = await _new()
    empty = _ledger(new.journal)
    header = len(_header(data)) + 2
    places = list(range(0, header, 7)) + list(range(header, len(data), 97)) + [len(data) - 1]
    for at in places:
        spoilt = bytearray(data)
        spoilt[at] ^= 0x10
        assert await _restore_refused(new, bytes(spoilt), key) == "archive", at
    for cut in (0, 1, header - 1, header, header + 2, len(data) // 2, len(data) - 1):
        assert await _restore_refused(new, data[:cut] or b"\x00", key) == "archive", cut
    assert await _restore_refused(new, data + b"\x00", key) == "archive"
    assert await _restore_refused(new, data, key, size=len(data) + 1) == "archive"
    assert await _restore_refused(new, data, key, size=len(data) - 1) == "archive"
    assert await _restore_refused(new, data, bytes(32)) == "archive"
    wrong_sum = _coming(data)[:-1] + [(True, {1: bytes(32)})]
    assert await _restore_refused(new, data, key, wrong_sum) == "archive"
    for nonsense in ({}, {1: b""}, {1: "text"}, {2: b"x"}, {1: b"x", 2: 1}):
        coming = [(False, nonsense)] + _coming(data)
        assert await _restore_refused(new, data, key, coming) == "archive"
    # Pieces swapped, left out, doubled.
    pieces, at = [], 0
    while at < len(data):
        size = 2 + (data[at] << 8 | data[at + 1])
        pieces.append(data[at : at + size])
        at += size
    for order in (
        pieces[:2] + [pieces[3], pieces[2]] + pieces[4:],
        pieces[:3] + pieces[4:],
        pieces[:3] + [pieces[2]] + pieces[3:],
        pieces[:-1],
        pieces + [pieces[-1]],
        pieces[1:],
    ):
        assert await _restore_refused(new, b"".join(order), key) == "archive"
    assert _ledger(new.journal) == empty and not new.journal.state.unconfirmed
    assert new.shop.told == 0
    await _restore(new, data, key)
    assert _ledger(new.journal) == _ledger(old.journal)


@played
async def test_an_archive_of_nonsense_under_the_right_key_is_refused():
    old = await _old(1)
    data, key = await old.archive()
    header = _header(data)
    (head,) = archive.Reader(key).feed(data[: _second(data)])[:1]
    end = {1: 9, 2: 0, 3: 0}
    line = {1: 4, 2: 1, 3: "sale", 4: 156, 5: 5, 6: False, 7: False, 8: {}}
    for values in (
        [end],
        [line, end],
        [head, end],
        [head, head, end],
        [head, {1: 7}, end],
        [head, {1: "x"}, end],
        [head, line, end],
        [head, {1: 2, 2: 1, 3: 1, 4: bytes(32), 5: b"x", 6: False}, end],
        [head, dict(list(line.items()) + [(5, -1)]), end],
        [head, dict(list(line.items()) + [(8, {"pan": "6222021234567890"})]), end],
        [dict(list(head.items()) + [(9, [[1, 2]])]), end],
        [dict(list(head.items()) + [(9, [[1, -2, 156]])]), end],
        [dict(list(head.items()) + [(9, [[0, 2, 156]])]), end],
        [dict(list(head.items()) + [(9, [None])]), end],
        [{1: True}, end],
        [{1: [1]}, end],
        [{}, end],
        [head, dict(list(line.items()) + [(8, {"x": [[]]})]), end],
        [head, dict(list(line.items()) + [(3, "")]), end],
    ):
        writer = archive.Writer(header, key)
        forged = writer.first
        for value in values:
            forged += writer.seal(value, value is end)
        new = await _new()
        try:
            code = await _restore_refused(new, forged, key)
            assert code == "archive", values
        except r.JournalError:
            pass  # a record that may not be
        assert new.journal.state.transactions == [] and not new.journal.state.unconfirmed


def _second(data):
    at = 2 + (data[0] << 8 | data[1])
    return at + 2 + (data[at] << 8 | data[at + 1])


@played
async def test_a_power_cut_leaves_the_whole_ledger_or_none():
    old = await _old(2)
    data, key = await old.archive()
    whole = _ledger(old.journal)
    steps, seen = 0, []
    while True:
        new = await _new()
        position = new.vault.position
        empty = _ledger(new.journal)
        new.files.cut_at = new.files.steps + steps
        cut = False
        try:
            await _restore(new, data, key)
        except PowerCut:
            cut = True
        for fate in ("lost", "kept", "torn") if cut else ("kept",):
            vault = NotedVault(b"NEW")
            vault.position = new.vault.position if new.files.cut_at < 0 or not cut else position
            again = await _new(new.files.after_cut(fate), vault)
            found = _ledger(again.journal)
            assert found in (empty, whole), (steps, fate)
            assert again.journal.state.unconfirmed == (found == whole)
            seen.append(found == whole)
            if found == empty:
                await _restore(again, data, key)
                assert _ledger(again.journal) == whole
        if not cut:
            break
        steps += 1
    assert steps > 4 and False in seen and True in seen


@played
async def test_references_of_registers_are_never_charged_again():
    old = await Terminal("OLD", OLD).begin()
    for at, outcome in enumerate((r.OUTCOME_APPROVED, r.OUTCOME_DECLINED, "")):
        stan = old.journal.state.stan
        body = request(stan, 100)
        body[r.K_REFERENCE], body[r.K_DIGEST] = "till-" + str(at), bytes([at]) * 32
        await old.journal.append(r.REQUEST, body)
        if outcome:
            await old.journal.append(r.ANSWER, answer(stan, outcome == r.OUTCOME_APPROVED))
            await old.journal.append(r.COMMIT, commit(stan, outcome))
    data, key = await old.archive()
    new = await _new()
    await _restore(new, data, key)
    await new.journal.confirm_damage("supervisor")
    found = []
    for at in range(3):
        one = new.journal.state.registered.find("till-" + str(at))
        found.append((one.outcome, one.pending))
        body = request(new.journal.state.stan, 100)
        body[r.K_REFERENCE], body[r.K_DIGEST] = "till-" + str(at), bytes([at]) * 32
        try:
            await new.journal.append(r.REQUEST, body)
            raise AssertionError("charged again: " + str(at))
        except r.JournalError:
            pass
    assert found == [("approved", False), ("unknown", False), ("unknown", False)]


@played
async def test_a_backup_waits_for_no_pc_and_needs_a_real_key():
    old = await _old(2)
    call = MadeCall("backup", {1: PC.public})
    call.slow = aio.Event()
    task = aio.spawn("backup", old.services["backup"](call))
    await aio.sleep_ms(0)
    for _ in range(10):
        await sale(old.journal, 7)
    call.slow.set()
    await task.join()
    data = b"".join([item[1] for item in call.items])
    new = await _new()
    await _restore(new, data, archive.key_for(_header(data), PC))
    assert new.journal.state.totals == {("sale", 156): (2, 300)}
    assert (await refused(old.services, "backup", {1: bytes(32)}))[0] == "arguments"
    try:
        archive.key_for(b"\xa0", PC)
        raise AssertionError("a header of nothing")
    except (TillError, CryptoError):
        pass
    assert archive.key_for(_header(data), KeyPair(bytes([8]) * 32)) != archive.key_for(
        _header(data), PC
    )
    assert fold.APPROVED == 1 and cbor.decode(_header(data))[2] == "OLD"
