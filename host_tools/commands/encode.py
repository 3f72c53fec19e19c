"""`till encode`: the inverse of `till decode 8583` (docs/decoders.md)."""

from typing import Annotated, Any

import typer

from host_tools.command_line import command_app
from host_tools.decoders import run

app = command_app("Encode ISO 8583.")


@app.callback()
def encode() -> None:
    """Encode ISO 8583. A bad input exits 1 and says where."""


@app.command("8583")
def iso8583(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="JSON",
            help="As till decode 8583 --json --unmask prints it; - reads standard input.",
        ),
    ] = None,
    dialect: Annotated[str, typer.Option(metavar="NAME", help="Message dialect.")] = "unionpay",
    body: Annotated[
        bool, typer.Option("--body", help="Make the message alone, from its MTI on.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help='Print {"hex": "..."}, for programs.')
    ] = False,
    lines: Annotated[
        bool,
        typer.Option(
            "--lines", help="Take one JSON object a line of standard input, print one each."
        ),
    ] = False,
) -> None:
    """Make an ISO 8583 frame, in hexadecimal, from JSON.

    \b
    Examples:
      till encode 8583 '{"mti": "0800", "fields": {"11": "000001"}}'
      till encode 8583 --lines < messages.jsonl
    """
    import json as parser

    from host_tools.decoders import iso8583 as decoder
    from host_tools.decoders.common import BadInput, check_size

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in pairs:
            if key in table:
                raise BadInput(f"key {key!a} occurs twice")
            table[key] = value
        return table

    def convert(data: str) -> dict[str, Any]:
        check_size(data)
        try:
            document = parser.loads(data, object_pairs_hook=once)
        except parser.JSONDecodeError as error:
            raise BadInput(f"not JSON: {error.msg}", error.pos) from None
        except RecursionError:
            raise BadInput("not JSON: nested too deep", 0) from None
        except ValueError as error:  # an integer of thousands of digits
            raise BadInput(f"not JSON: {error}", 0) from None
        return {"hex": decoder.encode(document, body).hex().upper()}

    decoder.check_dialect(dialect)
    run.run(text, convert, lambda result: [result["hex"]], json, lines)
