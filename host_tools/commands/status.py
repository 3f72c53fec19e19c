"""``till status``: how a terminal is."""

from typing import Any

from host_tools.command_line import Language, command_app
from host_tools.pc_link import at_command, clock
from host_tools.pc_link.connection import LinkedTerminal
from host_tools.pc_link.discovery import printable
from host_tools.pc_link.terminal_words import words
from host_tools.texts import later, said

app = command_app("Show how a terminal is.")

_STATES = {
    "ready": later("ready for payments"),
    "blocked": later("takes no payments"),
    "busy": later("busy"),
}
_LINKS = {"up": later("connected"), "down": later("not connected")}


@app.command()
def status(
    terminal: at_command.Which = "", as_json: at_command.Json = False, language: Language = ""
) -> None:
    """Show how a terminal is: state, paper, battery, link, open batch, clock.

    Exits 0 also when the terminal takes no payments; scripts read "state".
    """
    told = at_command.with_terminal(terminal, _ask)
    if as_json:
        at_command.show(told)
        return
    rows = [[name, value] for name, value in _rows(told)]
    at_command.console().print(
        at_command.table([said("Terminal"), printable(told["serial"])], rows)
    )


async def _ask(there: LinkedTerminal) -> dict[str, Any]:
    began = clock.now_ms()
    answer = await there.ask("status")
    told: dict[str, Any] = {
        "serial": there.serial,
        "board": there.board,
        "firmware": there.firmware,
        "place": there.place,
        "roles": there.roles,
    }
    told.update(at_command.clean(at_command.end_of("status", answer)))
    told["clock_ahead_s"] = clock.ahead_s(answer.get(13), began)
    return told


def _rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    state = told["state"]
    rows = [
        (said("State"), said(_STATES[state]) if state in _STATES else state),
        (said("Board, firmware"), f"{told['board']}, {told['firmware']}"),
        (said("Place"), told["place"]),
        (said("Roles of this PC"), ", ".join(told["roles"])),
    ]
    if told["blocked"]:
        rows.append((said("Because"), "; ".join(map(words, told["blocked"]))))
    if "battery" in told:
        mains = said("charging") if told.get("mains") else ""
        rows.append((said("Battery"), f"{told['battery']} % {mains}".strip()))
    if "paper" in told:
        paper = said("ready") if told["paper"] == "ok" else words(told["paper"])
        rows.append((said("Printer"), paper))
    if "link" in told:
        bars = f" ({told['bars']}/4)" if "bars" in told else ""
        link = said(_LINKS[told["link"]]) if told["link"] in _LINKS else told["link"]
        rows.append((said("Network"), link + bars))
    rows.append((said("Open batch"), str(told["batch"])))
    for total in told["totals"]:
        if isinstance(total, list) and len(total) == 4:
            kind, currency, count, amount = total
            rows.append(
                ("", said("{kind}, currency {currency}: {count} payments, {amount} minor units",
                          kind=kind, currency=currency, count=count, amount=amount))
            )  # fmt: skip
    if told["debt"]:
        rows.append((said("Debt"), said("a reversal is owed to the bank")))
    behind = told["sequence"] - told["acknowledged"]
    rows.append(
        (said("Journal"), said("{sequence} records, {behind} not synced yet",
                               sequence=told["sequence"], behind=behind))
    )  # fmt: skip
    rows.append((said("Clock"), clock.words(told["clock_ahead_s"])))
    if told["test"]:
        rows.append((said("Keys"), said("TEST keys: no real money")))
    for key, name in (("terminal", said("Terminal number")), ("merchant", said("Merchant number"))):
        if told.get(key):
            rows.append((name, told[key]))
    return rows
