"""Tokens of the REST API, and their commands."""

import json
import os
import stat
from pathlib import Path

import pytest

from host_tools.command_line import run
from host_tools.commands.api import app
from host_tools.errors import UserError
from host_tools.rest import tokens
from host_tools.rest.tokens import FILE, Tokens


def test_a_token_is_kept_as_a_slow_hash(tmp_path: Path) -> None:
    known = Tokens(tmp_path / "new" / FILE)
    text = known.add("shop", ["read", "start", "read"], now=7)
    path = tmp_path / "new" / FILE
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert text.rpartition("_")[2] not in path.read_text()
    again = Tokens(path)
    assert again.quick(text) is None
    found = again.slow(text)
    assert found is not None and again.quick(text) == found
    assert (found.name, found.may, found.made) == ("shop", ("start", "read"), 7)
    other = known.add("office", ["read"])
    assert again.quick(text) is None, "the file is another one: what was right is asked again"
    assert again.slow(text) == found
    mixed = text[:12] + other[12:]
    assert again.slow(mixed) is None


def test_what_is_no_token_is_refused(tmp_path: Path) -> None:
    known = Tokens(tmp_path / FILE)
    for name in ("", " a", "a\n", "ä", "x" * 37):
        with pytest.raises(UserError, match="1 to 36"):
            known.add(name, ["read"])
    for may in ([], ["write"], ["read", ""]):
        with pytest.raises(UserError, match="start, read"):
            known.add("a", may)
    assert known.all() == [] and not (tmp_path / FILE).exists()
    with pytest.raises(UserError, match="no client 'a'"):
        known.revoke("a")


def test_a_file_that_others_read_or_spoilt_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FILE
    Tokens(path).add("a", ["read"])
    path.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        Tokens(path).all()
    path.chmod(0o600)
    good = json.loads(path.read_text())
    for bad in ("", "[]", '{"version": 2}', json.dumps({**good, "tokens": [{"name": "a"}]}),
                json.dumps({**good, "tokens": [{**good["tokens"][0], "salt": "x"}]})):  # fmt: skip
        path.write_text(bad)
        with pytest.raises(UserError, match="damaged"):
            Tokens(path).all()
    path.write_text(json.dumps(good))
    monkeypatch.setattr(tokens, "MOST_TOKENS", 1)
    with pytest.raises(UserError, match="revoke one"):
        Tokens(path).add("b", ["read"])


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ran(*words: str) -> tuple[int, str, str]:
        code = run(app, "till api", [*words, "--folder", str(tmp_path)])
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, _ = ran("run")
    assert code == 1
    assert ran("token", "list")[1] == "No tokens.\n"
    code, out, err = ran("token", "add", "shop", "--may", "start, read")
    assert code == 0 and out.startswith("ot_") and "not shown again" in err
    assert Tokens(tmp_path / FILE).slow(out.strip()) is not None
    code, _, err = ran("token", "add", "shop")
    assert code == 1 and "revoke it first" in err
    code, out, _ = ran("token", "list", "--json")
    assert [one["name"] for one in json.loads(out)["tokens"]] == ["shop"]
    assert "shop" in ran("token", "list")[1]
    # On the network there is no plain text, and clients are named.
    code, _, err = ran("run", "--listen", "0.0.0.0:0")
    assert code == 1 and "clients" in err
    code, _, err = ran("run", "--listen", "0.0.0.0:0", "--client", "192.168.1.2")
    assert code == 1 and "till register setup" in err
    assert ran("token", "revoke", "shop")[0] == 0
    assert Tokens(tmp_path / FILE).all() == []
