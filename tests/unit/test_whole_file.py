"""Files that appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from host_tools.whole_file import whole, write


def test_what_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    write(path, b"before")
    with pytest.raises(ZeroDivisionError), whole(path) as new:
        new.write_bytes(b"half")
        assert path.read_bytes() == b"before"
        raise ZeroDivisionError
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_private_is_for_the_owner_from_the_first_byte_on(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with whole(path, private=True) as new:
        assert stat.S_IMODE(new.stat().st_mode) == 0o600
        new.write_bytes(b"key")
    assert path.read_bytes() == b"key" and stat.S_IMODE(path.stat().st_mode) == 0o600
