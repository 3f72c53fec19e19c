"""`till decode`: TLV, ISO 8583, tracks and EMV bit fields (docs/decoders.md)."""

from typing import Annotated, Any

import typer

from host_tools.decoders import run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Decode TLV, ISO 8583, tracks and EMV bit fields. A bad input exits 1 and says where.",
)

Input = Annotated[str | None, typer.Argument(help="hexadecimal; - for standard input")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object, for machines")]
Lines = Annotated[
    bool, typer.Option("--lines", help="one input a line of standard input, one JSON object a line")
]
Unmask = Annotated[bool, typer.Option("--unmask", help="show PAN, tracks and PIN data")]


@app.command()
def tlv(
    text: Input = None, json: Json = False, lines: Lines = False, unmask: Unmask = False
) -> None:
    """BER-TLV objects, nested."""
    from host_tools.decoders import tlv as decoder

    # JSON carries the values as they are: it is TLV for another program.
    mask = not unmask and not json and not lines
    run.run(text, lambda data: decoder.decode(data, mask), decoder.render_document, json, lines)


@app.command("8583")
def iso8583(
    text: Input = None,
    dialect: Annotated[str, typer.Option(help="message dialect")] = "unionpay",
    body: Annotated[bool, typer.Option("--body", help="the input begins at the MTI")] = False,
    json: Json = False,
    lines: Lines = False,
    unmask: Unmask = False,
) -> None:
    """A frame (length, TPDU, header, message), or with --body a message."""
    from host_tools.decoders import iso8583 as decoder

    def decode(data: str) -> Any:
        decoder.check_dialect(dialect)
        return decoder.decode(data, body, not unmask)

    run.run(text, decode, decoder.render, json, lines)


@app.command()
def track(
    text: Input = None, json: Json = False, lines: Lines = False, unmask: Unmask = False
) -> None:
    """Track 1 or 2 as read, or tag 57 in hexadecimal."""
    from host_tools.decoders import track as decoder

    run.run(text, lambda data: decoder.decode(data, not unmask), decoder.render, json, lines)


def _bits(word: str, text: str | None, json: bool, lines: bool) -> None:
    from host_tools.decoders import bits as decoder

    run.run(text, lambda data: decoder.decode(word, data), decoder.render, json, lines)


@app.command()
def tvr(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """Terminal Verification Results, 5 bytes."""
    _bits("tvr", text, json, lines)


@app.command()
def tsi(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """Transaction Status Information, 2 bytes."""
    _bits("tsi", text, json, lines)


@app.command()
def aip(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """Application Interchange Profile, 2 bytes."""
    _bits("aip", text, json, lines)


@app.command()
def cvm(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """CVM Results (3 bytes) or a CVM List."""
    from host_tools.decoders import cvm as decoder

    run.run(text, decoder.decode, decoder.render, json, lines)


@app.command()
def dol(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """A data object list: PDOL, CDOL, DDOL, TDOL."""
    from host_tools.decoders import dol as decoder

    run.run(text, decoder.decode, decoder.render, json, lines)
