"""A PC reads the journal while the terminal trades."""

from firmware import aio
from firmware.payment.journal import journal as journal_module
from firmware.payment.journal import records as r
from firmware.payment.journal import segment
from firmware.payment.journal.journal import Journal
from firmware.payment.journal.reading import MOST_FRAME
from firmware.services.link_journal import LinkJournal
from tests.support.journal_script import request, sale
from tests.support.made_call import MadeCall, ask, played, refused
from tests.support.memory_files import MemoryFiles, PowerCut
from tests.support.noted_vault import NotedVault

ALL = 1 << 31


async def _opened(files=None, vault=None, segment_bytes=4096):
    files = files or MemoryFiles()
    vault = vault or NotedVault()
    journal = Journal(files, vault, segment_bytes)
    await journal.open()
    return journal, files, vault


class Pc:
    """Keeps the chain as docs/journal.md tells it, by its own reading of the frames."""

    def __init__(self):
        self.records = {}
        self.cursor = (0, 1, segment.genesis(1))
        self.salvaged = []

    def take(self, call):
        for item in call.items:
            self._take(item)

    def _take(self, item):
        sequence, epoch, chain = self.cursor
        data, at, first = item[3], 0, item[1]
        if item.get(5):
            self.salvaged.append(first)
        elif item[2] == epoch:
            assert item[4] == chain and first == sequence + 1, (first, sequence)
        else:
            assert item[4] == segment.genesis(item[2]), "an epoch begins elsewhere"
        chain = item[4]
        assert data
        while at < len(data):
            frame = segment.parse(data, at)
            assert frame is not None and frame.sequence == first, first
            assert frame.sequence not in self.records
            self.records[first] = (item[2], frame.kind, frame.content())
            chain = segment.chain(chain, data[at : frame.end])
            first += 1
            at = frame.end
        self.cursor = (first - 1, item[2], chain)


async def _synced(handlers, pc=None, limit=ALL, most_message=65536):
    pc = pc or Pc()
    call = await ask(
        handlers,
        "journal_read",
        {1: pc.cursor[0], 2: limit},
        most_message=most_message,
    )
    pc.take(call)
    return pc, call


@played
async def test_every_record_comes_once_in_a_verified_chain():
    journal, files, _ = await _opened()
    for amount in range(1, 15):
        await sale(journal, amount)
    assert len(journal.places()) > 3
    for most in (MOST_FRAME + 80, 4096, 65536):
        handlers = LinkJournal(journal, files).handlers()
        pc, call = await _synced(handlers, most_message=most)
        assert pc.cursor == journal.head()
        assert (call.ended[1], call.ended[2], call.ended[3]) == pc.cursor
        assert sorted(pc.records) == list(range(1, journal.head()[0] + 1))
        amounts = [
            pc.records[n][2][r.K_AMOUNT]
            for n in sorted(pc.records)
            if pc.records[n][1] == r.REQUEST
        ]
        assert amounts == list(range(1, 15))
        for item in call.items:
            assert len(item[3]) <= most - 80


@played
async def test_any_cursor_and_limit_go_on_where_they_stopped():
    journal, files, _ = await _opened()
    for amount in range(1, 6):
        await sale(journal, amount)
    handlers = LinkJournal(journal, files, 2560).handlers()
    for limit in (1, 2, 3, 7):
        pc = Pc()
        while pc.cursor[0] < journal.head()[0]:
            before = pc.cursor[0]
            await _synced(handlers, pc, limit)
            assert pc.cursor[0] == min(before + limit, journal.head()[0])
        assert pc.cursor == journal.head()
    pc, call = await _synced(handlers, pc)
    assert call.items == []


@played
async def test_a_record_that_may_still_be_lost_is_not_told():
    journal, files, _ = await _opened()
    handlers = LinkJournal(journal, files).handlers()
    await sale(journal)
    known = journal.head()[0]
    assert known == journal.sequence - 1
    await journal.append(r.NOTICE, {r.K_CODE: "x"}, sync=False)
    pc, call = await _synced(handlers)
    assert pc.cursor[0] == call.ended[1] == known
    await journal.append(r.NOTICE, {r.K_CODE: "y"})
    pc, call = await _synced(handlers, pc)
    assert pc.cursor == journal.head() and pc.cursor[0] == known + 3


@played
async def test_a_reader_that_waits_holds_up_no_payment():
    journal, files, _ = await _opened()
    for amount in range(1, 9):
        await sale(journal, amount)
    handlers = LinkJournal(journal, files, 2560).handlers()
    call = MadeCall("journal_read", {1: 0, 2: ALL})
    call.slow = aio.Event()
    task = aio.spawn("read", handlers["journal_read"](call))
    await aio.sleep_ms(0)
    for amount in range(9, 20):  # several segments go by meanwhile
        await sale(journal, amount)
    call.slow.set()
    await task.join()
    pc = Pc()
    pc.take(call)
    assert pc.cursor == journal.head()


@played
async def test_an_acknowledgement_needs_our_chain():
    journal, files, _ = await _opened()
    for amount in range(1, 9):
        await sale(journal, amount)
    handlers = LinkJournal(journal, files, 2560).handlers()
    call = await ask(handlers, "journal_read", {1: 0, 2: ALL})
    places = []
    for item in call.items:
        places.append((item[1] - 1, item[2], item[4]))
    places.append(journal.head())
    for place in places:
        sequence, epoch, chain = place
        before = journal.state.acknowledged
        wrong = bytes([chain[0] ^ 1]) + chain[1:]
        if sequence:
            code, details = await refused(
                handlers, "journal_ack", {1: sequence, 2: epoch, 3: wrong}
            )
            assert (code, details) == ("fork", {1: journal.head()[0]})
            code, _ = await refused(handlers, "journal_ack", {1: sequence, 2: epoch + 1, 3: chain})
            assert code == "fork"
        assert journal.state.acknowledged == before
        await ask(handlers, "journal_ack", {1: sequence, 2: epoch, 3: chain})
        assert journal.state.acknowledged == sequence
    await ask(handlers, "journal_ack", {1: places[2][0], 2: 1, 3: places[2][2]})
    assert journal.state.acknowledged == journal.head()[0]  # it never goes back
    code, _ = await refused(handlers, "journal_ack", {1: journal.sequence + 1, 2: 1, 3: bytes(32)})
    assert code == "fork"
    code, _ = await refused(handlers, "journal_read", {1: journal.sequence + 1, 2: 5})
    assert code == "fork"


@played
async def test_an_acknowledgement_costs_no_barrier_and_the_next_segment_keeps_it():
    journal, files, vault = await _opened()
    handlers = LinkJournal(journal, files).handlers()
    await sale(journal)
    barriers, notes = files.barriers, vault.notes
    sequence, epoch, chain = journal.head()
    await ask(handlers, "journal_ack", {1: sequence, 2: epoch, 3: chain})
    assert (files.barriers, vault.notes) == (barriers, notes)
    number = len(journal.places())
    while len(journal.places()) == number:
        await sale(journal)
    again, _, _ = await _opened(files.after_cut("lost"), vault)
    assert again.state.acknowledged == sequence


@played
async def test_what_no_pc_has_read_is_kept_while_there_is_room():
    journal_module.KEEP_SEGMENTS, kept = 3, journal_module.KEEP_SEGMENTS
    journal_module.KEEP_UNREAD, unread = 8, journal_module.KEEP_UNREAD
    try:
        journal, files, _ = await _opened()
        handlers = LinkJournal(journal, files).handlers()

        async def trade(segments):
            number = int(journal.places()[-1].name[1:9]) + segments
            while int(journal.places()[-1].name[1:9]) < number:
                await sale(journal)
                await journal.append(r.BATCH_CLOSED, {r.K_BATCH: journal.state.batch})

        await trade(6)
        assert len(journal.places()) == 4  # a terminal that no PC ever read hoards nothing
        code, details = await refused(handlers, "journal_read", {1: 0, 2: ALL})
        assert code == "expired" and details == {1: journal.places()[0].first + 1}
        code, _ = await refused(handlers, "journal_ack", {1: 1, 2: 1, 3: bytes(32)})
        assert code == "expired"
        sequence, epoch, chain = journal.head()
        await ask(handlers, "journal_ack", {1: sequence, 2: epoch, 3: chain})
        await trade(6)
        assert journal.places()[0].first < sequence
        assert len(journal.places()) > 5
        await trade(8)
        assert len(journal.places()) == 9  # the bound holds
        free = files.free

        async def little():
            return (1 << 20) - 1

        files.free = little
        await trade(1)
        assert len(journal.places()) == 4  # and so does the room that stays free
        files.free = free
        await trade(6)
        assert len(journal.places()) > 5

        async def nearly_none():
            return 20_000 if len(journal.places()) > 4 else 60_000

        files.free = nearly_none
        await journal.reserve()  # a payment comes before what waits for a PC
        assert len(journal.places()) == 4
    finally:
        journal_module.KEEP_SEGMENTS = kept
        journal_module.KEEP_UNREAD = unread


@played
async def test_a_damaged_segment_gives_what_reads_and_says_so():
    files, vault = MemoryFiles(), NotedVault()
    journal, _, _ = await _opened(files, vault, 65536)
    for amount in range(1, 6):
        await sale(journal, amount)
    name = journal.places()[-1].name
    middle = segment.parse(files.now[name], 0).end
    for _ in range(9):
        middle = segment.parse(files.now[name], middle).end
    spoilt = bytearray(files.now[name])
    spoilt[middle + 40] ^= 1
    files.now[name] = files.durable[name] = bytes(spoilt)
    total = journal.sequence
    journal, _, _ = await _opened(files, vault, 65536)
    assert journal.epoch == 2 and journal.trading == "confirm"
    handlers = LinkJournal(journal, files).handlers()
    pc, call = await _synced(handlers)
    missing = [n for n in range(1, total + 1) if n not in pc.records]
    assert missing == [10]
    assert pc.salvaged == list(range(11, total + 1))
    assert pc.cursor == journal.head() and pc.records[total + 1][1] == r.DAMAGE
    # A cursor inside the damaged part goes on too, and can be acknowledged.
    for after in (4, 9, 10, 15, total):
        call = await ask(handlers, "journal_read", {1: after, 2: ALL})
        assert call.items[0][1] == (after + 1 if after != 9 else 11)
        await ask(handlers, "journal_ack", {1: after, 2: 1, 3: bytes(32)})


@played
async def test_a_segment_that_rots_while_it_is_read_is_named():
    journal, files, _ = await _opened()
    for amount in range(1, 9):
        await sale(journal, amount)
    name = journal.places()[1].name
    spoilt = bytearray(files.now[name])
    spoilt[-9] ^= 1
    files.now[name] = bytes(spoilt)
    handlers = LinkJournal(journal, files).handlers()
    try:
        await ask(handlers, "journal_read", {1: 0, 2: ALL})
    except r.JournalError as error:
        assert name in str(error)
        return
    raise AssertionError("a spoilt record was given away")


@played
async def test_a_journal_that_is_closed_and_a_pc_that_takes_too_little():
    files, vault = MemoryFiles(), NotedVault()
    journal = Journal(files, vault)
    handlers = LinkJournal(journal, files).handlers()
    assert (await refused(handlers, "journal_read", {1: 0, 2: 1}))[0] == "failed"
    await journal.open()
    code, _ = await refused(handlers, "journal_read", {1: 0, 2: 1}, most_message=1024)
    assert code == "arguments"
    call = await ask(handlers, "journal_read", {1: 0, 2: 1})
    assert call.items == [] and call.ended[1] == 0


@played
async def test_what_a_listener_hears():
    journal, _, _ = await _opened()
    heard = []
    journal.listeners.append(lambda kind, body: heard.append((kind, body.get(r.K_STAN))))
    await sale(journal)
    assert heard[:4] == [(r.INTENT, 1), (r.REQUEST, 1), (r.ANSWER, 1), (r.COMMIT, 1)]
    body = request(1)
    body[r.K_STAN] = 0
    try:
        await journal.append(r.REQUEST, body)
    except r.JournalError:
        pass
    assert len(heard) == journal.sequence


class Draw:
    """Numbers that are the same on both interpreters."""

    def __init__(self, seed):
        self.state = seed * 2654435761 % (1 << 32)

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) % (1 << 31)
        return (self.state >> 8) % limit


async def _some_trade(journal, draw):
    """One thing that a terminal does."""
    what = draw.below(6)
    if what == 0:
        await journal.append(r.NOTICE, {r.K_CODE: "n", r.K_DETAIL: "x" * draw.below(200)})
    elif what == 1:
        await journal.append(r.NOTICE, {r.K_CODE: "u"}, sync=False)
    elif what == 2 and journal.state.debt is None:
        await journal.append(r.BATCH_CLOSED, {r.K_BATCH: journal.state.batch})
    elif journal.state.debt is not None:
        stan = journal.state.debt.stan
        await journal.append(r.RELEASED, {r.K_STAN: stan, r.K_WHO: "s"})
    else:
        await sale(journal, 1 + draw.below(1000))


@played
async def test_what_a_pc_was_told_outlives_every_power_cut():
    cuts = told = 0
    for seed in range(1, 25):
        draw = Draw(seed)
        journal, files, vault = await _opened()
        pc = Pc()
        for _ in range(12):
            if draw.below(3) == 0:
                files.cut_at = files.steps + draw.below(40)
            try:
                await _some_trade(journal, draw)
            except PowerCut:
                cuts += 1
            # A PC may read at any moment before the supply is back.
            handlers = LinkJournal(journal, files, 2560 + draw.below(4096)).handlers()
            before = pc.cursor[0]
            if files.cut_at < 0 or files.steps <= files.cut_at:
                await _synced(handlers, pc, 1 + draw.below(20))
            told += pc.cursor[0] - before
            if files.cut_at >= 0 and files.steps > files.cut_at:
                files = files.after_cut(("lost", "kept", "torn")[draw.below(3)])
                journal, files, vault = await _opened(files, vault)
                assert journal.epoch == 1 and journal.trading == "ok"
                handlers = LinkJournal(journal, files).handlers()
            sequence, epoch, chain = pc.cursor
            await ask(handlers, "journal_ack", {1: sequence, 2: epoch, 3: chain})
            await _synced(handlers, pc)
            assert pc.cursor == journal.head()
    assert cuts > 30 and told > 300


@played
async def test_spoilt_bytes_are_never_given_as_records():
    for seed in range(1, 30):
        draw = Draw(seed)
        journal, files, vault = await _opened()
        for amount in range(1, 8):
            await sale(journal, amount)
        whole = Pc()
        await _synced(LinkJournal(journal, files).handlers(), whole)
        names = [place.name for place in journal.places()]
        for _ in range(1 + draw.below(3)):
            name = names[draw.below(len(names))]
            spoilt = bytearray(files.now[name])
            spoilt[draw.below(len(spoilt))] ^= 1 << draw.below(8)
            files.now[name] = files.durable[name] = bytes(spoilt)
        journal, files, vault = await _opened(files, vault)
        call = await ask(
            LinkJournal(journal, files, 2560).handlers(), "journal_read", {1: 0, 2: ALL}
        )
        for item in call.items:
            data, at = item[3], 0
            while at < len(data):
                frame = segment.parse(data, at)
                known = whole.records.get(frame.sequence)
                mine = (item[2], frame.kind, frame.content())
                assert known is None or item[2] > 1 or known == mine
                at = frame.end
        sequence, epoch, chain = journal.head()
        assert (call.ended[1], call.ended[2], call.ended[3]) == (sequence, epoch, chain)
        handlers = LinkJournal(journal, files).handlers()
        await ask(handlers, "journal_ack", {1: sequence, 2: epoch, 3: chain})
