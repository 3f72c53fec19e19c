"""Build the rig's guest from Debian packages, once, into the cache.

    python -m tests.rig.build        print where the guest is

apt downloads the packages that a system with nothing on it would need; they
are unpacked, not installed, so no root is needed but for QEMU itself. Kernel,
first file system and disk land in a folder named by what went into them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig import cpio

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opentill" / "rig"
EMULATOR = "qemu-system-x86_64"

#: Debian packages in the guest, by name only; apt adds what they depend on.
PACKAGES = (
    "linux-image-amd64",  # generic: the cloud kernel has no gadgets, no uinput
    "busybox-static",
    "kmod",
    "python3",
    "python3-evdev",
    "python3-pyscard",
    "pcscd",
    "vsmartcard-vpcd",
    "swtpm",
    "ppp",
    "python3-tpm2-pytss",  # for its libraries; the module itself is of tests/support/tpm.sh
    "dbus-daemon",
    "network-manager",
    "wpasupplicant",
    "hostapd",
)  # fmt: skip
#: Wheels for the guest's Python beyond what the firmware needs to run.
WHEELS = ("pytest>=8.2", "dbus-fast>=3.0", "rpi-lgpio>=0.6")
#: What the first file system loads before there is a disk (crc32c for ext4).
FIRST_MODULES = ("virtio_pci", "virtio_blk", "virtio_rng", "crc32c_generic", "ext4", "9p",
                 "9pnet_virtio")  # fmt: skip
#: Parts of packages that no test reads.
UNREAD = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "boot")
PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64",
             "manylinux2014_x86_64")  # fmt: skip
DISK_MIB = 2048
#: Raise it when what is done with the lists changes: guests built before are not used again.
FORMAT = 2
#: Builds the library for a TPM, of which no index has a wheel, and keeps it in the cache.
TPM = ROOT / "tests/support/tpm.sh"
#: Builds a module that Debian's kernel leaves out, and keeps it in the cache.
GPIO_SIM = ROOT / "tests/rig/gpio_sim.sh"


#: Guests that nobody started for so long make room.
KEEP_S = 14 * 86400


class CannotBuild(Exception):
    """Why there is no guest; the text is for people."""


@dataclass(frozen=True)
class Guest:
    """Files that QEMU starts from."""

    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def first(self) -> bytes:
        """The first file system: what was built, and the first process as it is today."""
        init = Path(__file__).with_name("init").read_bytes()
        built = (self.folder / "initramfs").read_bytes()
        return built + cpio.archive({"init": init}, {"init"}, [])

    @property
    def disk(self) -> Path:
        return self.folder / "disk"


def requirements() -> list[str]:
    """What pip puts into the guest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *WHEELS]


def key() -> str:
    """Names the guest by all that it is made from."""
    made_from = [*PACKAGES, *requirements(), *FIRST_MODULES, *UNREAD, str(DISK_MIB), str(FORMAT)]
    return hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]


def cached() -> Guest | None:
    """The guest of today's lists, when it was built before."""
    guest = Guest(CACHE / key())
    return guest if guest.disk.exists() else None


def why_not() -> str:
    """Why a guest cannot be built or booted here, "" if it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the rig's guest is built on Linux on x86-64 only"
    missing = [] if shutil.which(EMULATOR) or _may_install() else [EMULATOR]
    if cached() is None:
        missing += [tool for tool in ("apt-get", "dpkg-deb", "tar") if shutil.which(tool) is None]
        missing += [] if _mkfs() else ["mkfs.ext4"]
    return "not installed: " + ", ".join(missing) if missing else ""


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _mkfs() -> str | None:
    return shutil.which("mkfs.ext4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _run(*command: str | Path, input_bytes: bytes | None = None, limit_s: int = 900) -> bytes:
    """Run a program; CannotBuild with its last words when it fails."""
    try:
        done = subprocess.run(command, input=input_bytes, capture_output=True, timeout=limit_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(str(error)) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-600:]
        raise CannotBuild(f"{Path(str(command[0])).name}: {said}")
    return done.stdout


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"rig: {text}", flush=True)


def _download(archives: Path) -> list[Path]:
    """Packages and all that they depend on, as apt resolves it for an empty system."""
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    status = CACHE / "no-packages"
    status.touch()
    options = {
        "Dir::State::status": status,
        "Dir::Cache::archives": archives,
        "APT::Architecture": "amd64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "true",
    }
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    install = ["apt-get", *flags, "-y", "-qq", "install"]
    # Of packages that were downloaded before apt prints no address: it is shown none.
    empty = CACHE / "no-archives"
    (empty / "partial").mkdir(parents=True, exist_ok=True)
    nothing = ("-o", f"Dir::Cache::archives={empty}", "--print-uris")
    listed = _run(*install, *nothing, *PACKAGES).decode().splitlines()
    _run(*install, "--download-only", *PACKAGES)
    found = [archives / line.split()[1] for line in listed if line.startswith("'")]
    if not found or not all(path.exists() for path in found):
        raise CannotBuild("apt-get did not download all packages")
    return found


def _unpack(packages: list[Path], tree: Path) -> None:
    """All files of the packages, /usr merged; none of their scripts runs."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for package in packages:
        files = _run("dpkg-deb", "--fsys-tarfile", package)
        _run("tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", tree,
             input_bytes=files)  # fmt: skip


def _add_modules(tree: Path, kernel: str) -> None:
    """What Debian's kernel leaves out, as far as it can be built here."""
    try:
        module = _run(GPIO_SIM, kernel).decode().strip()
    except CannotBuild as error:
        _say(f"the guest gets no gpio-sim: {error}")
        return
    extra = tree / "usr/lib/modules" / kernel / "extra"
    extra.mkdir()
    shutil.copy(module, extra)


def _index_modules(tree: Path, kernel: str) -> None:
    """depmod of the guest itself, by its own loader: the host needs none."""
    loader = tree / "usr/lib64/ld-linux-x86-64.so.2"
    _run(loader.resolve(), "--library-path", tree / "usr/lib/x86_64-linux-gnu", "--argv0", "depmod",
         tree / "usr/bin/kmod", "-b", tree, kernel)  # fmt: skip


def _furnish(tree: Path) -> None:
    """What maintainer scripts would have made, as far as tests need it."""
    for folder in ("proc", "sys", "dev", "run", "tmp", "till", "out", "root"):
        (tree / folder).mkdir(exist_ok=True)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost rig\n")
    shell = tree / "usr/bin/sh"
    if not shell.exists() and not shell.is_symlink():
        shell.symlink_to("busybox")


def _python(tree: Path) -> None:
    """The wheels, and everything compiled when the versions of Python agree."""
    version = next((tree / "usr/bin").glob("python3.[0-9]*")).name.removeprefix("python")
    wheels = tree / "opt/wheels"
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    _run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-compile", "--only-binary", ":all:", "--implementation", "cp",
         "--python-version", version, *platforms, "--target", wheels, *requirements())  # fmt: skip
    try:
        _run(TPM, "prepare", sys.executable)
        shutil.copytree(CACHE.parent / "tpm/python/tpm2_pytss", wheels / "tpm2_pytss")
    except CannotBuild as error:
        _say(f"the guest gets no library for a TPM: {error}")
    if version == platform.python_version().rpartition(".")[0]:
        library = tree / "usr/lib" / f"python{version}"
        _run(sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
             "-s", str(tree), "-p", "/", str(library), str(tree / "usr/lib/python3"),
             str(wheels))  # fmt: skip


def _first_file_system(tree: Path, kernel: str) -> bytes:
    modules = cpio.module_order(tree / "usr/lib/modules" / kernel, FIRST_MODULES)
    files = {"busybox": (tree / "usr/bin/busybox").read_bytes()}
    programs = set(files)
    for at, path in enumerate(modules):
        files[f"modules/{at:02}-{path.name.split('.ko')[0]}.ko"] = cpio.content(path)
    return cpio.archive(files, programs, ["modules", "proc", "sys", "dev", "root"])


def _build(guest: Guest) -> None:
    work = CACHE / f"{guest.folder.name}.new"
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "tree"
    tree.mkdir(parents=True)
    _say("downloading Debian packages")
    packages = _download(CACHE / "archives")
    _say(f"unpacking {len(packages)} packages")
    _unpack(packages, tree)
    kernel = next((tree / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    shutil.copyfile(tree / "boot" / f"vmlinuz-{kernel}", work / "vmlinuz")
    for part in UNREAD:
        shutil.rmtree(tree / part, ignore_errors=True)
    _say("building kernel modules")
    _add_modules(tree, kernel)
    _index_modules(tree, kernel)
    _furnish(tree)
    _say("installing Python packages")
    _python(tree)
    (work / "initramfs").write_bytes(_first_file_system(tree, kernel))
    (work / "packages.txt").write_text("".join(sorted(f"{path.name}\n" for path in packages)))
    _say("writing the disk")
    disk = work / "disk.new"
    mkfs = _mkfs()
    assert mkfs is not None
    _run(mkfs, "-q", "-F", "-O", "^has_journal", "-E", "root_owner=0:0", "-L", "rig",
         "-d", tree, disk, f"{DISK_MIB}M")  # fmt: skip
    shutil.rmtree(tree)
    disk.rename(work / "disk")
    shutil.rmtree(guest.folder, ignore_errors=True)
    work.rename(guest.folder)


def _install_emulator() -> None:
    _say(f"installing {EMULATOR} (Debian package qemu-system-x86)")
    _run("apt-get", "update", "-qq")
    _run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq",
         "--no-install-recommends", "qemu-system-x86")  # fmt: skip


def prepare() -> Guest:
    """The guest, built when the cache has none of today's. CannotBuild."""
    reason = why_not()
    if reason:
        raise CannotBuild(reason)
    with _locked():
        if shutil.which(EMULATOR) is None:
            _install_emulator()
        guest = cached()
        if guest is None:
            began = time.monotonic()
            guest = Guest(CACHE / key())
            _build(guest)
            _say(f"guest built in {time.monotonic() - began:.0f} s")
        os.utime(guest.folder)
        for other in CACHE.glob("*/disk"):
            if time.time() - other.parent.stat().st_mtime > KEEP_S:
                shutil.rmtree(other.parent)
    return guest


if __name__ == "__main__":
    try:
        print(prepare().folder)
    except CannotBuild as error:
        sys.exit(f"rig: {error}")
