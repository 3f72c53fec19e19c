"""Every device of a board, its driver and its bus, and how it is: for engineers.

What is wrong comes with its cause and with what merchant and engineer do about it,
in both languages.
"""

from firmware import aio
from firmware.errors import TillError
from firmware.hal.bearer import DOWN
from firmware.payment.journal import records, recovery
from firmware.services import counters, link_words, self_test
from firmware.text.texts import LANGUAGES, Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Links that start for longer are told as they are.
LINKS_MS = 60_000
#: What an engineer does about a cause, by words of drivers and kernels in it.
_ADVICE = (
    ("needs the ", "doctor.needs"),
    ("No module named", "doctor.package"),
    ("not installed", "doctor.package"),
    ("Permission denied", "doctor.permission"),
    ("Operation not permitted", "doctor.permission"),
    ("busy", "doctor.busy"),
    ("another program holds it", "doctor.busy"),
    ("last reset was the watchdog's", "doctor.hung"),
    ("No such file", "doctor.absent"),
    ("No such device", "doctor.absent"),
    ("not found", "doctor.absent"),
    ("is not there", "doctor.absent"),
    ("unplugged", "doctor.absent"),
    ("no input device", "doctor.absent"),
    ("no printer's answer", "doctor.foreign"),
    ("answer", "doctor.silent"),
    ("acknowledge", "doctor.silent"),
    ("mute", "doctor.silent"),
    ("imed out", "doctor.silent"),
    ("I/O error", "doctor.silent"),
)


#: Settings of a bus that are nobody's to read.
SECRETS = ("key", "password")
#: What machines read of a counter whose name does not say its unit or meaning.
_UNITS = {"paper": "paper_mm", "ends": "power_lost"}


def advice(cause: str) -> str:
    """Text key of what an engineer does about a driver's complaint, "" for no idea."""
    for words, key in _ADVICE:
        if words in cause:
            return key
    return ""


class Finding:
    """One device, or one link by its ``name``. ``state``: "ok", "warn", "fail"; ``cause``:
    the driver's own words; ``text_key``: what the merchant is told, "" for nothing;
    ``says``: what a device that is well says of itself; ``title_key``: what it is called."""

    def __init__(
        self, kind: str, settings: "dict[str, Any]", board: "dict[str, Any]", name: str = ""
    ) -> None:
        self.kind = kind
        self.name = name
        self.title_key = "boot.device." + kind
        self.interface = str(settings.get("interface", ""))
        self.driver = str(settings.get("driver", ""))
        self.buses = []
        for name in sorted(settings):
            if name == "bus" or name[-4:] == "_bus":
                self.buses.append(_bus(str(settings[name]), board))
        self.state = "ok"
        self.text_key = ""
        self.cause = ""
        self.says = ""

    def table(self) -> "dict[str, Any]":
        """JSON-able, with the words of every language by its code."""
        said: "dict[str, Any]" = {}
        for language, _ in LANGUAGES:
            texts = Texts(language)
            words = {"device": texts.get(self.title_key)}
            if self.text_key:
                words["problem"] = texts.get(self.text_key)
                if texts.has(self.text_key + ".do"):
                    words["do"] = texts.get(self.text_key + ".do")
            if self.state != "ok" and advice(self.cause):
                words["engineer"] = texts.get(advice(self.cause))
            texts.close()
            said[language] = words
        return {
            "kind": self.kind,
            "name": self.name,
            "driver": self.driver,
            "buses": self.buses,
            "interface": self.interface,
            "state": self.state,
            "cause": self.cause,
            "says": self.says,
            "words": said,
        }


async def examine(
    devices: "Any", board: "dict[str, Any]", kinds: "tuple[str, ...]"
) -> "list[Finding]":
    """Test what was built of ``board``: of ``kinds`` those that it has; after the
    network each of its links."""

    async def heard(result: self_test.Result) -> None:
        tested[result.kind] = result

    tested: "dict[str, self_test.Result]" = {}
    await _links_known(devices.network)
    await self_test.run(devices, int(board["built"]), heard)
    return _findings(devices, board, kinds, tested)


def known(
    devices: "Any", board: "dict[str, Any]", results: "list[self_test.Result]"
) -> "list[Finding]":
    """As ``examine``, from what a terminal that runs found before: no device is asked. What
    it found beside its devices (provisioning, journal) follows."""
    tested = {}
    for result in results:
        tested[result.kind] = result
    kinds = tuple([kind for kind in self_test.KINDS if kind in board])
    findings = _findings(devices, board, kinds, tested)
    for result in results:
        if result.kind not in self_test.KINDS and result.state != "absent":
            finding = Finding(result.kind, {}, board)
            finding.state, finding.text_key = result.state, result.text_key
            finding.cause = result.detail
            findings.append(finding)
    return findings


def _findings(
    devices: "Any",
    board: "dict[str, Any]",
    kinds: "tuple[str, ...]",
    tested: "dict[str, self_test.Result]",
) -> "list[Finding]":
    broken = {}
    for kind, _, error in devices.failures:
        broken[kind] = error
    findings = []
    for kind in kinds:
        if kind not in board:
            continue
        finding = Finding(kind, board[kind], board)
        findings.append(finding)
        result = tested.get(kind)
        if result is not None and result.state != "absent":
            finding.state, finding.text_key = result.state, result.text_key
            if result.state == "ok":
                finding.says = result.detail
            else:
                finding.cause = result.detail
        if kind in broken:
            finding.state, finding.cause = "fail", str(broken[kind])
            finding.text_key = finding.text_key or "error." + kind
        if kind == "network":
            findings += _links(devices, board)
    return findings


def _links(devices: "Any", board: "dict[str, Any]") -> "list[Finding]":
    """Each link of the board, also one that could not be made, or only stands by."""
    ways = {}
    for way in getattr(devices.network, "ways", ()):
        ways[way.name] = way
    not_made: "dict[str, list[TillError]]" = {}
    for kind, driver, error in devices.failures:
        if kind == "network":
            not_made.setdefault(driver, []).append(error)
    findings = []
    tables = board.get("link", {})
    for name in sorted(tables):  # as they were made
        finding = Finding("link", tables[name], board, name)
        finding.title_key = "boot.device.network"
        findings.append(finding)
        if name in ways:
            _link(finding, ways[name])
            continue
        errors = not_made.get(finding.driver)
        finding.state, finding.text_key = "fail", "error.network"
        finding.cause = str(errors.pop(0)) if errors else "the link was not made"
    return findings


def _link(finding: Finding, way: "Any") -> None:
    """How a link is; one that is dead is told though another one carries."""
    kind = way.bearer.kind
    finding.title_key = "network.kind." + kind
    finding.interface = way.bearer.interface or finding.interface
    said = [way.state]
    if way.cause == "stopped" and not way.started:
        said = ["rests until it is needed"]
    elif way.state != DOWN:
        said.append(str(way.bars) + "/4")
        if way.address:
            said.append(way.address)
    if way.cause and (way.cause != "stopped" or way.started):
        finding.state = "warn"
        finding.text_key = link_words.problem(kind, way.cause, way.bars)
        finding.cause = "not up after a minute" if way.cause == "stopped" else way.cause
    else:
        finding.says = ", ".join(said)


async def wear(devices: "Any", board: "dict[str, Any]") -> "dict[str, Any] | None":
    """What the journal in the data folder counted, and which parts are due for service
    (docs/maintenance.md), JSON-able. None where it cannot be read; writes nothing. The
    vault was opened by ``examine``."""
    if devices.files is None or devices.vault is None:
        return None
    try:
        found = await recovery.recover(devices.files, devices.vault)
    except TillError:
        return None  # the devices' own findings say why
    tally = counters.Tally(found, devices, board)
    tally.begin()
    totals = tally.totals()
    totals[records.C_ENDS] = counters.cut_off(found.state, False)
    rows = []
    for number in sorted(totals):
        name = counters.NAMES[number]
        words = _in_every_language("counters." + name)
        rows.append({"name": _UNITS.get(name, name), "total": totals[number], "words": words})
    due = []
    for one in tally.due():
        name = counters.NAMES[one.number]
        due.append(
            {
                "name": _UNITS.get(name, name),
                "used": one.used,
                "limit": one.limit,
                "words": _in_every_language(one.text_key),
            }
        )
    return {"counters": rows, "due": due}


def _in_every_language(key: str) -> "dict[str, str]":
    said = {}
    for language, _ in LANGUAGES:
        texts = Texts(language)
        said[language] = texts.get(key)
        texts.close()
    return said


async def _links_known(network: "Any") -> None:
    """Links begin when they are made; how they are is known once each warm one was asked."""
    began = aio.ticks_ms()
    while aio.elapsed_ms(began) < LINKS_MS:
        ways = getattr(network, "ways", ())
        if not any(way.warm and way.cause == "stopped" for way in ways):
            return
        await aio.sleep_ms(100)


def _bus(name: str, board: "dict[str, Any]") -> "dict[str, Any]":
    """A bus by its name in the board file, with its driver and where it is."""
    table = {"name": name}
    settings = board.get("bus", {}).get(name, {})
    for key in settings:
        if key not in SECRETS:
            table[key] = settings[key]
    return table
