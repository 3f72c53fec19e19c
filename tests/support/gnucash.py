"""Loads a file with GnuCash's own engine and tells its balances.

Runs as a process of its own: ``python tests/support/gnucash.py ROOT FILE`` prints
``{account: [numerator, denominator]}``.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("gnucash.sh")
_READ_ONLY = 4  # SESSION_READ_ONLY of qofsession.h


def balances(file: Path) -> dict[str, tuple[int, int]]:
    """Every account's balance, placeholders without one left out."""
    subprocess.run(["bash", str(SCRIPT), "prepare"], check=True, timeout=600)
    told = subprocess.run(["bash", str(SCRIPT), "root"], check=True, capture_output=True, text=True)
    root = Path(told.stdout.strip())
    folder = next(root.glob("usr/lib/*/gnucash"))
    env = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{folder}:{folder.parent}",
        "LC_ALL": "C.UTF-8",
    }
    ended = subprocess.run(
        [sys.executable, __file__, str(folder), str(file)],
        capture_output=True, text=True, timeout=300, env=env,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    return {name.replace(".", ":"): (value[0], value[1]) for name, value in found.items()}


class _Numeric(ctypes.Structure):
    _fields_ = [("num", ctypes.c_int64), ("denom", ctypes.c_int64)]


def _main(folder: Path, file: Path) -> None:
    engine = ctypes.CDLL(str(folder / "libgnc-engine.so"), mode=ctypes.RTLD_GLOBAL)
    pointer, text, whole = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, answer, takes in (
        ("gnc_engine_init", None, [whole, pointer]),
        ("qof_load_backend_library", whole, [text, text]),
        ("qof_book_new", pointer, []),
        ("qof_session_new", pointer, [pointer]),
        ("qof_session_begin", None, [pointer, text, whole]),
        ("qof_session_load", None, [pointer, pointer]),
        ("qof_session_get_error", whole, [pointer]),
        ("qof_session_get_error_message", text, [pointer]),
        ("qof_session_get_book", pointer, [pointer]),
        ("gnc_book_get_root_account", pointer, [pointer]),
        ("gnc_account_get_descendants_sorted", pointer, [pointer]),
        ("gnc_account_get_full_name", text, [pointer]),
        ("gnc_account_n_children", whole, [pointer]),
        ("xaccAccountGetBalance", _Numeric, [pointer]),
    ):
        function = getattr(engine, name)
        function.restype, function.argtypes = answer, takes
    engine.qof_init()
    engine.cashobjects_register()
    xml = str(folder / "gnucash")
    assert engine.qof_load_backend_library(xml.encode(), b"gncmod-backend-xml")
    session = engine.qof_session_new(engine.qof_book_new())
    engine.qof_session_begin(session, b"xml://" + str(file).encode(), _READ_ONLY)
    error = engine.qof_session_get_error(session)
    assert error == 0, (error, engine.qof_session_get_error_message(session))
    engine.qof_session_load(session, None)
    error = engine.qof_session_get_error(session)
    assert error == 0, (error, engine.qof_session_get_error_message(session))
    root = engine.gnc_book_get_root_account(engine.qof_session_get_book(session))

    class _Node(ctypes.Structure):
        pass

    _Node._fields_ = [("data", pointer), ("next", ctypes.POINTER(_Node))]
    node = ctypes.cast(engine.gnc_account_get_descendants_sorted(root), ctypes.POINTER(_Node))
    found = {}
    while node:
        account = node.contents.data
        if not engine.gnc_account_n_children(account):
            value = engine.xaccAccountGetBalance(account)
            name = engine.gnc_account_get_full_name(account).decode()
            found[name] = [value.num, value.denom]
        node = node.contents.next
    print(json.dumps(found))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
