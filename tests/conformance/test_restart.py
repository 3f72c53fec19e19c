"""Conformance of hal.restart: what every restarter must do."""

import asyncio
import sys
import types
from pathlib import Path

import pytest

from firmware.drivers import restart_linux
from firmware.drivers.restart_linux import LinuxRestarter
from firmware.hal.restart import RestartError


def _python(program: str, limit_s: float = 20) -> LinuxRestarter:
    return LinuxRestarter((sys.executable, "-c", program), limit_s)


def test_the_systems_command_is_run_once(tmp_path: Path) -> None:
    done = tmp_path / "done"
    program = f"open({str(done)!r}, 'a').write('x'); print('noise')"
    asyncio.run(_python(program).restart())
    assert done.read_text() == "x"
    assert restart_linux.COMMAND == ("systemctl", "reboot")


def test_a_refusal_comes_with_the_systems_last_words() -> None:
    program = "import sys; print('one', file=sys.stderr); sys.exit('Access denied')"
    with pytest.raises(RestartError, match=r"restart: Access denied$"):
        asyncio.run(_python(program).restart())
    with pytest.raises(RestartError, match="code 3"):
        asyncio.run(_python("raise SystemExit(3)").restart())
    noisy = "import sys; sys.stderr.buffer.write(b'\\xff' * 9999); sys.exit(1)"
    with pytest.raises(RestartError) as caught:
        asyncio.run(_python(noisy).restart())
    assert len(str(caught.value)) < 250


def test_a_system_that_says_nothing_is_given_up() -> None:
    with pytest.raises(RestartError, match=r"no answer in 0\.2 s"):
        asyncio.run(_python("import time; time.sleep(60)", 0.2).restart())


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    for command in ((), ("/nonexistent/reboot",)):
        with pytest.raises(RestartError, match="is not there"):
            LinuxRestarter(command)
    gone = tmp_path / "reboot"
    gone.write_text("#!/nonexistent/interpreter\n")
    gone.chmod(0o700)
    with pytest.raises(RestartError, match="No such file"):
        asyncio.run(LinuxRestarter((str(gone),)).restart())


def test_a_microcontroller_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    resets: list[bool] = []
    machine = types.ModuleType("machine")
    machine.reset = lambda: resets.append(True)  # type: ignore[attr-defined]  # as the port has it
    monkeypatch.setitem(sys.modules, "machine", machine)
    from firmware.drivers.restart_mpy import MpyRestarter

    asyncio.run(MpyRestarter().restart())
    assert resets == [True]
