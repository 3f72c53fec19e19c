"""``till devices``: which terminals there are, and which this PC knows."""

import asyncio
from typing import Annotated, Any

import typer

from host_tools.command_line import Language, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command, discovery
from host_tools.pc_link.calls import CallFailed
from host_tools.pc_link.connection import Settings, connect
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.pc_link.targets import Target
from host_tools.texts import said

app = command_app("Show which terminals there are, and which this PC knows.")


@app.command()
def devices(
    network: Annotated[
        bool, typer.Option("--network/--no-network", help="Look on the network as well (mDNS).")
    ] = True,
    ask: Annotated[
        bool, typer.Option("--ask", help="Open each likely place and ask who is there.")
    ] = False,
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Show the serial ports of USB, terminals on the network, and terminals that are paired.

    \b
    Examples:
      till devices
      till devices --ask --no-network
    """
    report = asyncio.run(_report(network, ask))
    if as_json:
        at_command.show(report)
    else:
        _tell(report)


async def _report(network: bool, ask: bool) -> dict[str, Any]:
    known = KnownTerminals()
    ports = discovery.usb_ports()
    services = await discovery.on_network() if network else []
    found = [
        (Target(path=port.path, usb=port.usb), port.product, port.serial, port.likely)
        for port in ports
    ]
    found += [
        (Target(host=service.host, port=service.port), service.board, service.serial, True)
        for service in services
    ]
    places: list[dict[str, Any]] = []
    for target, product, serial, likely in found:
        place = {"place": target.text, "product": product, "terminal": serial, "likely": likely}
        places.append(place)
        if ask and likely:
            places[-1]["answer"] = await _asked(target, known)
    return {"places": places, "known": [_entry(one) for one in known.all()]}


async def _asked(target: Target, known: KnownTerminals) -> dict[str, Any]:
    """Who is there, by the handshake."""
    try:
        async with connect(target, Settings(known), stranger=True) as terminal:
            return {
                "terminal": terminal.serial,
                "board": terminal.board,
                "firmware": terminal.firmware,
                "fingerprint": terminal.fingerprint,
                "roles": terminal.roles,
            }
    except (CallFailed, UserError) as error:
        return {"problem": str(error)}


def _entry(one: Known) -> dict[str, Any]:
    return {
        "terminal": one.serial,
        "name": one.name,
        "board": one.board,
        "fingerprint": one.fingerprint,
        "roles": list(one.roles),
        "confirmed": one.confirmed,
        "place": one.place,
    }


def _tell(report: dict[str, Any]) -> None:
    console = at_command.console()
    if not report["places"]:
        console.print(said("No serial port on USB and no terminal on the network."))
    else:
        rows = []
        for place in report["places"]:
            answer = place.get("answer", {})
            what = place["product"] if place["likely"] else said("no terminal, it seems")
            who = answer.get("problem") or answer.get("terminal") or place["terminal"]
            rows.append([place["place"], what, who])
        columns = [said("Place"), said("What"), said("Serial number")]
        console.print(at_command.table(columns, rows))
    if not report["known"]:
        console.print(said("No terminal is paired yet: till pair PLACE"))
        return
    rows = [
        [
            one["terminal"] + (f" ({one['name']})" if one["name"] else ""),
            ", ".join(one["roles"]),
            one["fingerprint"],
            one["place"] if one["confirmed"] else said("not confirmed yet"),
        ]
        for one in report["known"]
    ]
    columns = [said("Paired terminal"), said("Roles"), said("Key"), said("Last at")]
    console.print(at_command.table(columns, rows))
