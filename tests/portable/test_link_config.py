"""A PC reads and pushes settings: proved, in one piece, journalled, to be reverted."""

from firmware import aio, cbor
from firmware.crypto.x25519 import KeyPair
from firmware.drivers.soft_vault import SoftVault
from firmware.hal.files import FilesError, NoSuchFile
from firmware.link import config_set
from firmware.link.services import NotOfTable
from firmware.payment.journal import records as r
from firmware.payment.journal.journal import Journal
from firmware.services.link_config import KEPT, PENDING, Group, LinkConfig
from tests.support import vault_parts
from tests.support.made_call import MadeCall, ask, played, refused
from tests.support.memory_files import MemoryFiles, PowerCut

TERMINAL, PC, OTHER = KeyPair(bytes([1]) * 32), KeyPair(bytes([2]) * 32), KeyPair(bytes([3]) * 32)


class Journalled(Group):
    """Kept by the journal alone; what counts is in ``used``."""

    def __init__(self, journal):
        self.journal = journal
        self.used = {}

    def names(self):
        return ["language", "remind.cuts"]

    def now(self, name):
        return self.journal.state.settings.get(name)

    def complaint(self, name, value):
        return "" if value in ("en", "zh", 5, None) else "not that"

    async def use(self, values):
        self.used.update(values)


class InAFile(Journalled):
    """Kept in a file of its own."""

    def __init__(self, journal, files):
        super().__init__(journal)
        self.files = files
        self.kept = {}

    async def load(self):
        try:
            self.kept = cbor.decode(await self.files.read("kept"))
        except NoSuchFile:
            pass

    def names(self):
        return ["metered.wifi"]

    def now(self, name):
        return self.kept.get(name)

    def complaint(self, name, value):
        return "" if value is True or value is False else "not that"

    async def keep(self, values):
        await self.files.replace("kept", cbor.encode(values))
        self.kept = dict(values)


class Terminal:
    """The settings of one terminal, on ``files``; ``begin`` as its start does."""

    def __init__(self, files=None, vault_files=None):
        self.files = files or MemoryFiles()
        self.vault_files = vault_files or MemoryFiles()
        self.vault = SoftVault(self.vault_files, vault_parts.SeededEntropy())
        self.journal = Journal(self.files, self.vault)
        self.groups = [Journalled(self.journal), InAFile(self.journal, self.files)]
        self.at_work = False
        self.roles = {}
        self.config = LinkConfig(
            self.journal,
            self.files,
            self.vault,
            self.groups,
            lambda: self.at_work,
            self._static,
            lambda key: self.roles.get(key, ()),
        )
        self.handlers = self.config.handlers()

    async def _static(self):
        return TERMINAL

    async def begin(self):
        await self.vault.open()
        await self.journal.open()
        await self.groups[1].load()
        await self.config.finish()
        return self

    def values(self):
        found = {}
        for group in self.groups:
            for name in group.names():
                found[name] = group.now(name)
        return found

    async def push(self, version, values, key=PC, **made):
        call = MadeCall(
            "config_push",
            {1: config_set.made(version, values, "Ann", key, TERMINAL.public)},
            **made,
        )
        call.key = PC.public
        await self.handlers["config_push"](call)
        return call.ended

    async def push_refused(self, version, values, key=PC, data=None, **made):
        if data is None:
            data = config_set.made(version, values, "Ann", key, TERMINAL.public)

        async def asked(call):
            call.key = PC.public
            await self.handlers["config_push"](call)

        return await refused({"config_push": asked}, "config_push", {1: data}, **made)


FIRST = {"language": "en", "metered.wifi": True}
SECOND = {"language": "zh", "metered.wifi": False, "remind.cuts": 5}


@played
async def test_a_push_counts_at_once_and_after_a_restart():
    t = await Terminal().begin()
    assert (await ask(t.handlers, "config_get", {1: []})).ended == {1: 0}
    assert await t.push(1, FIRST) == {1: 1}
    assert await t.push(2, SECOND) == {1: 2}
    for terminal in (t, await Terminal(t.files, t.vault_files).begin()):
        call = await ask(terminal.handlers, "config_get", {1: []})
        assert {item[1]: item[2] for item in call.items} == SECOND and call.ended == {1: 2}
        assert [item[1] for item in call.items] == sorted(SECOND)
    assert t.groups[0].used == {"language": "zh", "remind.cuts": 5}
    assert t.groups[1].used == {"metered.wifi": False}
    call = await ask(t.handlers, "config_get", {1: ["language"]})
    assert call.items == [{1: "language", 2: "zh"}]
    for names in (["pin"], ["language", "pin"], [5], [None], [["language"]], [{}]):
        assert (await refused(t.handlers, "config_get", {1: names}))[0] == "arguments"
    told = []
    for record in await t.journal.read(0, 100):
        if record.kind == r.SETTING:
            told.append((record.body[r.K_NAME], record.body[r.K_VALUE], record.body[r.K_WHO]))
    assert told == [
        ("language", "en", "Ann"),
        ("metered.wifi", True, "Ann"),
        ("config", 1, "Ann"),
        ("language", "zh", "Ann"),
        ("metered.wifi", False, "Ann"),
        ("remind.cuts", 5, "Ann"),
        ("config", 2, "Ann"),
    ]


@played
async def test_a_push_is_reverted_by_pushing_what_it_replaced():
    t = await Terminal().begin()
    assert (await ask(t.handlers, "config_get", {1: [], 2: True})).items == []
    await t.push(1, FIRST)
    await t.push(2, SECOND)
    call = await ask(t.handlers, "config_get", {1: [], 2: True})
    before = {item[1]: item[2] for item in call.items}
    assert before == {"language": "en", "metered.wifi": True, "remind.cuts": None}
    await t.push(3, before)
    assert t.values() == before
    t.files.now[KEPT] = t.files.now[KEPT][:-1] + b"\x00"  # lost: nothing to revert, that is all
    assert (await ask(t.handlers, "config_get", {1: [], 2: True})).items == []
    assert t.values() == before


@played
async def test_only_a_set_that_a_service_pc_made_for_this_terminal_counts():
    t = await Terminal().begin()
    good = config_set.made(1, FIRST, "Ann", PC, TERMINAL.public)
    for at in range(len(good)):
        spoilt = bytearray(good)
        spoilt[at] ^= 0x04
        code, _ = await t.push_refused(1, FIRST, data=bytes(spoilt))
        assert code in ("signature", "arguments"), at
    elsewhere = config_set.made(1, FIRST, "Ann", PC, OTHER.public)
    assert (await t.push_refused(1, FIRST, data=elsewhere))[0] == "signature"
    assert (await t.push_refused(1, FIRST, roles=("sync",)))[0] == "signature"
    assert (await t.push_refused(1, FIRST, key=OTHER))[0] == "signature"  # a stranger's
    t.roles[OTHER.public] = ("sync", "register")
    assert (await t.push_refused(1, FIRST, key=OTHER))[0] == "signature"
    assert t.values() == {"language": None, "metered.wifi": None, "remind.cuts": None}
    t.roles[OTHER.public] = ("service",)
    await t.push(1, FIRST, key=OTHER)  # carried by another PC
    small = cbor.encode([cbor.encode({1: 2, 2: FIRST, 3: "Ann", 4: bytes(32)}), bytes(32)])
    t.roles[bytes(32)] = ("service",)
    assert (await t.push_refused(2, FIRST, data=small))[0] == "signature"  # of low order


@played
async def test_a_set_counts_once_and_after_the_one_before():
    t = await Terminal().begin()
    await t.push(1, FIRST)
    for version in (1, 3):
        assert await t.push_refused(version, SECOND) == ("version", {1: 1})
    t.at_work = True
    assert (await t.push_refused(2, SECOND))[0] == "busy"
    t.at_work = False
    for values in (
        {"language": "tlh"},
        {"language": "zh", "pin": 1},
        {"language": "zh", "metered.wifi": 1},
    ):
        code, details = await t.push_refused(2, values)
        assert code == "arguments" and details[1]
    assert t.values()["language"] == "en" and PENDING not in t.files.now


def test_sets_that_are_none_are_refused():
    body = {1: 1, 2: FIRST, 3: "Ann", 4: PC.public}
    for key, value in (
        (1, 0),
        (1, "1"),
        (2, {}),
        (2, {1: "en"}),
        (2, {"language": b"en"}),
        (2, {"language": ["en"]}),
        (2, {"language": "x" * 65}),
        (2, {"n" * 25: 1}),
        (2, {"": 1}),
        (3, ""),
        (3, "x" * 33),
        (3, "a\x1b"),
        (4, PC.public[:31]),
        (5, 1),
    ):
        wrong = dict(body)
        wrong[key] = value
        _refused_set(cbor.encode([cbor.encode(wrong), bytes(32)]))
    del body[4]
    _refused_set(cbor.encode([cbor.encode(body), bytes(32)]))
    for data in (b"", b"\x00", cbor.encode([1, 2]), cbor.encode({1: 2}), b"\x9f\xff", bytes(3072)):
        _refused_set(data)


def _refused_set(data):
    try:
        config_set.read(data)
    except NotOfTable:
        return
    raise AssertionError("taken: " + repr(data))


@played
async def test_a_power_cut_leaves_all_of_a_push_or_nothing():
    steps = 0
    seen = []
    while True:
        t = await Terminal().begin()
        await t.push(1, FIRST)
        t.files.cut_at = t.files.steps + steps
        cut = False
        try:
            await t.push(2, SECOND)
        except PowerCut:
            cut = True
        for fate in ("lost", "kept", "torn") if cut else ("kept",):
            again = await Terminal(t.files.after_cut(fate), t.vault_files).begin()
            found = again.values()
            version = again.config.version
            expected = dict(FIRST)
            expected["remind.cuts"] = None
            assert found == (SECOND if version == 2 else expected), (steps, fate, version)
            assert PENDING not in again.files.now
            seen.append(version)
            await again.push(version + 1, FIRST)
            assert again.values()["language"] == "en"
        if not cut:
            break
        steps += 1
    assert steps > 5 and 1 in seen and seen[-1] == 2


@played
async def test_a_push_that_storage_stopped_is_finished_by_the_next_one():
    t = await Terminal().begin()
    await t.push(1, FIRST)
    replace, failing = t.files.replace, ["kept"]

    async def full(name, data):
        if name in failing:
            raise FilesError("full")
        await replace(name, data)

    t.files.replace = full
    try:
        await t.push(2, SECOND)
        raise AssertionError("kept")
    except FilesError:
        pass
    failing.clear()
    assert await t.push_refused(2, FIRST) == ("version", {1: 2})  # decided already
    assert t.values() == SECOND
    await t.push(3, FIRST)


@played
async def test_a_pc_that_hangs_up_changes_nothing_of_it():
    t = await Terminal().begin()
    task = aio.spawn("push", t.push(1, FIRST))
    await aio.sleep_ms(0)
    task.cancel()
    await task.done.wait()
    await aio.sleep_ms(10)
    version = t.config.version
    assert version in (0, 1) and PENDING not in t.files.now
    assert t.values()["language"] == (None if version == 0 else "en")
