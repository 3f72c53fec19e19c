"""``till emv``: replay, oda, clauses."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from host_tools.command_line import Misuse, command_app
from host_tools.emv_input import InputError, load, parse, standard_lines
from host_tools.errors import UserError

app = command_app("Replay card sessions, check offline data authentication.")

_File = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE", help="JSON, described in docs/emv-replay.md; - reads standard input."
    ),
]
_Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, for programs; errors too.")
]
_Lines = Annotated[
    bool,
    typer.Option("--lines", help="Take one JSON file a line of standard input, print one each."),
]


_Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="FILE",
        help="Provisioning bundle: AIDs, CA keys, terminal data that the recording lacks.",
    ),
]

_Work = Callable[[dict[str, Any]], dict[str, Any]]
_Table = dict[str, Any]


def _run_lines(work: _Work) -> None:
    """One input a line, one object a line out, errors included."""
    for raw in standard_lines():
        try:
            result = work(parse(raw, "line"))
        except InputError as error:
            result = error.as_dict()
        print(json.dumps(result), flush=True)


@contextlib.contextmanager
def _told(as_json: bool) -> Iterator[None]:
    """Exit 1 with the InputError told."""
    try:
        yield
    except InputError as error:
        if as_json:
            print(json.dumps(error.as_dict()))
        else:
            place = f" (offset {error.offset})" if error.offset is not None else ""
            typer.echo(f"till emv: {error}{place}", err=True)
        raise typer.Exit(1) from None


def _run(
    file: Path | None, as_json: bool, lines: bool, work: _Work, alone: Callable[[Path], str]
) -> None:
    """``work`` on each line, or ``alone`` on the file: what is printed of it."""
    if lines:
        if file is not None:
            raise Misuse("--lines reads standard input; give no file")
        _run_lines(work)
        return
    if file is None:
        raise Misuse("give a file, or - to read standard input")
    with _told(as_json):
        print(alone(file))


def _given(bundle: Path | None) -> _Table:
    """What the bundle gives to each recording."""
    from host_tools.emv_trace import bundle_keys

    return {} if bundle is None else bundle_keys(load(bundle), str(bundle))


@app.command()
def replay(
    file: _File = None, as_json: _Json = False, lines: _Lines = False, bundle: _Bundle = None
) -> None:
    """Run the contact kernel against a recorded session, or the last sale of a trace.

    \b
    Examples:
      till emv replay docs/examples/recording.json
      till emv replay --lines < sessions.jsonl
      till emv replay trace.jsonl --bundle data/bundle.cbor
    """
    from host_tools.emv_replay import replay as work
    from host_tools.emv_trace import recordings, with_keys

    def alone(path: Path) -> str:
        found = recordings(load(path), str(path), given)
        result = work(found[-1])
        if len(found) > 1:
            text = f"the trace holds {len(found)} sales, this is the last; till emv recording"
            result["warnings"] = [text + " gives each", *result.get("warnings", [])]
        return json.dumps(result) if as_json else _show_replay(result)

    with _told(as_json or lines):
        given = _given(bundle)
    _run(file, as_json, lines, lambda table: work(with_keys(table, given)), alone)


@app.command()
def recording(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The trace, JSON lines; - reads standard input."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print errors as JSON too.")] = False,
    bundle: _Bundle = None,
) -> None:
    """Turn a terminal's full trace into recordings, one JSON object a line for each sale.

    \b
    Example:
      till emv recording trace.jsonl | till emv replay --lines
    """
    from host_tools.emv_trace import recordings

    def alone(path: Path) -> str:
        found = recordings(load(path), str(path), _given(bundle))
        return "\n".join(json.dumps(table) for table in found)

    _run(file, as_json, False, dict, alone)


@app.command()
def oda(file: _File = None, as_json: _Json = False, lines: _Lines = False) -> None:
    """Check certificates and signatures of offline data authentication.

    \b
    Example:
      till emv oda docs/examples/oda.json
    """
    from host_tools.emv_oda import check

    def alone(path: Path) -> str:
        result = check(parse(load(path), str(path)))
        return json.dumps(result) if as_json else _show_oda(result)

    _run(file, as_json, lines, check, alone)


@app.command()
def clauses(as_json: _Json = False) -> None:
    """List the clauses of docs/emv-clauses.csv that no test shows (in the source tree)."""
    from host_tools import clauses as table

    if not table.TABLE.is_file():
        raise UserError(f"{table.TABLE} is not there: run this in OpenTill's source tree")
    try:
        rows = table.read()
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from None
    bare = table.untested(rows)
    missing = table.missing_tests(rows)
    if as_json:
        print(
            json.dumps(
                {"rows": len(rows), "untested": [row.tag for row in bare], "missing": missing}
            )
        )
    else:
        for row in bare:
            print(f"no test    {row.tag:<16} {row.paraphrase}" + f" ({row.note})" * bool(row.note))
        for line in missing:
            print(f"not there  {line}")
        print(f"{len(rows)} clauses, {len(bare)} without a test, {len(missing)} tests not there")
    if missing:
        raise typer.Exit(1)


def _show_replay(result: dict[str, Any]) -> str:
    from firmware.payment.emv import bits

    lines = [
        f"outcome      {result['outcome']} ({result['reason']})",
        f"AID          {result['aid']}",
    ]
    for label, key, table in (("TVR", "tvr", bits.TVR_NAMES), ("TSI", "tsi", bits.TSI_NAMES)):
        lines.append(f"{label:<12} {result[key]}")
        lines.extend(
            f"             - {name}" for name in bits.names(bytes.fromhex(result[key]), table)
        )
    lines.append(f"CVM results  {result['cvm_results']}")
    if result["cid"]:
        lines.append(f"cryptogram   {result['cryptogram']} (CID {result['cid']})")
    for entry in result["trace"]:
        if entry["t"] == "apdu":
            lines.append(f"  > {entry['c']}\n  < {entry['r']} {entry['sw']}")
        elif entry["t"] == "bit":
            lines.append(
                f"    {entry['word']} byte {entry['byte']} bit {entry['bit']}: {entry['name']}"
                f" [{entry['rule']}]"
            )
        elif entry["t"] == "rule":
            lines.append(f"    {entry['text']} [{entry['rule']}]")
    lines.extend(f"warning: {text}" for text in result.get("warnings", ()))
    for mismatch in result["mismatches"]:
        lines.append(
            f"mismatch at step {mismatch['step']}: {mismatch['note']}\n"
            f"    sent     {mismatch['sent']}\n    recorded {mismatch['recorded']}"
        )
    return "\n".join(lines)


def _show_oda(result: dict[str, Any]) -> str:
    from host_tools.decoders.common import mask_pan, readable

    lines = [f"warning: {text}" for text in result.get("warnings", ())]
    for step in [name for name in result if name != "warnings"]:
        verdict = result[step]
        if verdict["valid"]:
            lines.append(f"{step}: valid")
        else:
            lines.append(f"{step}: not valid: {verdict['reason']}")
        lines.extend(
            f"    {name}: {mask_pan(value) if name == 'pan' else readable(value)}"
            for name, value in verdict.items()
            if name not in ("valid", "reason")
        )
    return "\n".join(lines)
