"""Build the rig's guests from Debian packages, once, into the cache.

    python -m tests.rig.build        print where the guest is

apt downloads the packages that a system with nothing on it would need; they
are unpacked, not installed, so no root is needed but for QEMU itself. Kernel,
first file system and disk land in a folder named by what went into them.
``Recipe`` is how all of them are made, ``RECIPE`` the x86-64 one.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig import cpio

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opentill" / "rig"

#: Parts of packages that no test reads.
UNREAD = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "boot")
#: Debian's name of the architecture that guests are built on.
OURS = "amd64"
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
    def device_tree(self) -> Path:
        """The board's, where the recipe names one."""
        return self.folder / "board.dtb"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    def first(self, init: Path) -> bytes:
        """The first file system: what was built, and the first process as it is today."""
        built = (self.folder / "initramfs").read_bytes()
        return built + cpio.archive({"init": init.read_bytes()}, {"init"}, [])


@dataclass(frozen=True)
class Recipe:
    """What a guest is made of, and the making.

    ``title``: for people. ``prefix``: of its folder's name. ``emulator``: the program, and the
    Debian package that has it. ``packages``: of Debian, by name only; apt adds what they depend
    on. ``wheels``: for the guest's Python, beyond what the firmware needs to run. ``modules``:
    what the first file system loads before there is a disk (crc32c for ext4). ``furnish``: given
    tree and kernel's name, does what only this guest needs. ``device_tree``: its file in the
    kernel's package, "" for a machine without.
    """

    title: str
    prefix: str
    architecture: str
    emulator: tuple[str, str]
    packages: tuple[str, ...]
    wheels: tuple[str, ...]
    platforms: tuple[str, ...]
    modules: tuple[str, ...]
    disk_mib: int
    furnish: Callable[[Path, str], None]
    device_tree: str = ""

    def requirements(self) -> list[str]:
        """What pip puts into the guest."""
        return [*dependencies(), *self.wheels]

    def guest(self) -> Guest:
        """Where it is, or will be: a folder named by all that it is made from."""
        made_from = [*self.packages, *self.requirements(), *self.modules, *UNREAD]
        made_from += [self.device_tree] if self.device_tree else []
        made_from += [str(self.disk_mib), str(FORMAT)]
        return Guest(
            CACHE / (self.prefix + hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16])
        )

    def cached(self) -> Guest | None:
        """The guest of today's lists, when it was built before."""
        guest = self.guest()
        return guest if guest.disk.exists() else None

    def why_not(self) -> str:
        """Why a guest cannot be built or booted here, "" if it can."""
        if sys.platform != "linux" or platform.machine() != "x86_64":
            return "the rig's guest is built on Linux on x86-64 only"
        emulator = self.emulator[0]
        missing = [] if shutil.which(emulator) or may_install() else [emulator]
        if self.cached() is None:
            tools = ("apt-get", "dpkg-deb", "tar")
            missing += [tool for tool in tools if shutil.which(tool) is None]
            missing += [] if find_mkfs() else ["mkfs.ext4"]
        return "not installed: " + ", ".join(missing) if missing else ""

    def prepare(self) -> Guest:
        """The guest, built when the cache has none of today's. CannotBuild."""
        reason = self.why_not()
        if reason:
            raise CannotBuild(reason)
        with locked():
            install_emulator(*self.emulator)
            guest = self.guest()
            if not guest.disk.exists():
                began = time.monotonic()
                self._build(guest)
                say(f"{self.title} built in {time.monotonic() - began:.0f} s")
            os.utime(guest.folder)
            for other in CACHE.glob("*/disk"):
                if time.time() - other.parent.stat().st_mtime > KEEP_S:
                    shutil.rmtree(other.parent)
        return guest

    def _build(self, guest: Guest) -> None:
        work = CACHE / f"{guest.folder.name}.new"
        made = Guest(work)
        shutil.rmtree(work, ignore_errors=True)
        tree = work / "tree"
        tree.mkdir(parents=True)
        say(f"downloading Debian packages of the {self.title}")
        lists = None if self.architecture == OURS else CACHE / f"lists-{self.architecture}"
        packages = download(CACHE / "archives", self.packages, self.architecture, lists)
        say(f"unpacking {len(packages)} packages")
        unpack(packages, tree)
        kernel = next((tree / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        shutil.copyfile(tree / "boot" / f"vmlinuz-{kernel}", made.kernel)
        trees = f"usr/lib/linux-image-{kernel}"
        if self.device_tree:
            shutil.copyfile(tree / trees / self.device_tree, made.device_tree)
        (work / "initramfs").write_bytes(first_file_system(tree, kernel, self.modules))
        for part in (*UNREAD, trees):
            shutil.rmtree(tree / part, ignore_errors=True)
        furnish(tree)
        say("installing Python packages")
        add_wheels(tree, self.requirements(), self.platforms)
        self.furnish(tree, kernel)
        compile_python(tree)
        (work / "packages.txt").write_text("".join(sorted(f"{path.name}\n" for path in packages)))
        say("writing the disk")
        disk = work / "disk.new"
        write_disk(tree, disk, self.disk_mib)
        shutil.rmtree(tree)
        disk.rename(made.disk)
        shutil.rmtree(guest.folder, ignore_errors=True)
        work.rename(guest.folder)


def dependencies() -> list[str]:
    """What firmware and PC tools stand on."""
    found: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "dependencies"
    ]
    return found


def may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def find_mkfs() -> str | None:
    return shutil.which("mkfs.ext4", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def tool(*command: str | Path, input_bytes: bytes | None = None, limit_s: int = 900) -> bytes:
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
def locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    print(f"rig: {text}", flush=True)


def download(
    archives: Path,
    packages: Sequence[str],
    architecture: str,
    lists: Path | None,
) -> list[Path]:
    """Packages and all that they depend on, as apt resolves it for an empty system.
    ``lists``: where apt's lists for another architecture than this machine's are kept."""
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    status = CACHE / "no-packages"
    status.touch()
    options = {
        "Dir::State::status": status,
        "Dir::Cache::archives": archives,
        "APT::Architecture": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "true",
    }
    if lists is not None:
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        more = {
            "Dir::State::lists": lists,
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
        }
        options |= {**more, "APT::Architectures::": architecture}
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    if lists is not None:
        tool("apt-get", *flags, "-qq", "update")
    install = ["apt-get", *flags, "-y", "-qq", "install"]
    # Of packages that were downloaded before apt prints no address: it is shown none.
    empty = CACHE / "no-archives"
    (empty / "partial").mkdir(parents=True, exist_ok=True)
    nothing = ("-o", f"Dir::Cache::archives={empty}", "--print-uris")
    listed = tool(*install, *nothing, *packages).decode().splitlines()
    tool(*install, "--download-only", *packages)
    found = [archives / line.split()[1] for line in listed if line.startswith("'")]
    if not found or not all(path.exists() for path in found):
        raise CannotBuild("apt-get did not download all packages")
    return found


def unpack(packages: list[Path], tree: Path) -> None:
    """All files of the packages, /usr merged; none of their scripts runs."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    for package in packages:
        files = tool("dpkg-deb", "--fsys-tarfile", package)
        tool("tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", tree,
             input_bytes=files)  # fmt: skip


def _add_modules(tree: Path, kernel: str) -> None:
    """What Debian's kernel leaves out, as far as it can be built here."""
    try:
        module = tool(GPIO_SIM, kernel).decode().strip()
    except CannotBuild as error:
        say(f"the guest gets no gpio-sim: {error}")
        return
    extra = tree / "usr/lib/modules" / kernel / "extra"
    extra.mkdir()
    shutil.copy(module, extra)


def _index_modules(tree: Path, kernel: str) -> None:
    """depmod of the guest itself, by its own loader: the host needs none."""
    loader = tree / "usr/lib64/ld-linux-x86-64.so.2"
    tool(loader.resolve(), "--library-path", tree / "usr/lib/x86_64-linux-gnu", "--argv0", "depmod",
         tree / "usr/bin/kmod", "-b", tree, kernel)  # fmt: skip


def furnish(tree: Path) -> None:
    """What maintainer scripts would have made, as far as tests need it."""
    for folder in ("proc", "sys", "dev", "run", "tmp", "till", "out", "root"):
        (tree / folder).mkdir(exist_ok=True)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost rig\n")
    shell = tree / "usr/bin/sh"
    if not shell.exists() and not shell.is_symlink():
        shell.symlink_to("busybox")


def _python_version(tree: Path) -> str:
    return next((tree / "usr/bin").glob("python3.[0-9]*")).name.removeprefix("python")


def add_wheels(tree: Path, wanted: Sequence[str], platforms: Sequence[str]) -> None:
    """What pip finds ready-made for the guest's Python."""
    made_for = [part for name in platforms for part in ("--platform", name)]
    tool(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-compile", "--only-binary", ":all:", "--implementation", "cp",
         "--python-version", _python_version(tree), *made_for, "--target", tree / "opt/wheels",
         *wanted)  # fmt: skip


def _add_tpm(tree: Path) -> None:
    try:
        tool(TPM, "prepare", sys.executable)
        shutil.copytree(CACHE.parent / "tpm/python/tpm2_pytss", tree / "opt/wheels/tpm2_pytss")
    except CannotBuild as error:
        say(f"the guest gets no library for a TPM: {error}")


def compile_python(tree: Path) -> None:
    """All of Python ahead of time, when this machine's is of the guest's version."""
    version = _python_version(tree)
    if version == platform.python_version().rpartition(".")[0]:
        library = tree / "usr/lib" / f"python{version}"
        tool(sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
             "-s", str(tree), "-p", "/", str(library), str(tree / "usr/lib/python3"),
             str(tree / "opt/wheels"))  # fmt: skip


def first_file_system(tree: Path, kernel: str, wanted: tuple[str, ...]) -> bytes:
    """busybox, and the kernel modules that are needed before there is a disk, in order."""
    modules = cpio.module_order(tree / "usr/lib/modules" / kernel, wanted)
    files = {"busybox": (tree / "usr/bin/busybox").read_bytes()}
    programs = set(files)
    for at, path in enumerate(modules):
        files[f"modules/{at:02}-{path.name.split('.ko')[0]}.ko"] = cpio.content(path)
    return cpio.archive(files, programs, ["modules", "proc", "sys", "dev", "root"])


def write_disk(tree: Path, disk: Path, mib: int) -> None:
    """The tree as a file system in a file; needs no root."""
    mkfs = find_mkfs()
    assert mkfs is not None
    tool(mkfs, "-q", "-F", "-O", "^has_journal", "-E", "root_owner=0:0", "-L", "rig",
         "-d", tree, disk, f"{mib}M")  # fmt: skip


def install_emulator(program: str, package: str) -> None:
    """With a root's rights, unless it is there."""
    if shutil.which(program) is None:
        say(f"installing {program} (Debian package {package})")
        tool("apt-get", "update", "-qq")
        tool("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq",
             "--no-install-recommends", package)  # fmt: skip


def _furnish(tree: Path, kernel: str) -> None:
    say("building kernel modules")
    _add_modules(tree, kernel)
    _index_modules(tree, kernel)
    _add_tpm(tree)


RECIPE = Recipe(
    title="guest",
    prefix="",
    architecture=OURS,
    emulator=("qemu-system-x86_64", "qemu-system-x86"),
    packages=(
        "linux-image-amd64",  # generic: the cloud kernel has no gadgets, no uinput
        "busybox-static",
        "kmod",
        "python3",
        "python3-evdev",
        "python3-pyscard",
        "python3-spidev",
        "pcscd",
        "vsmartcard-vpcd",
        "swtpm",
        "ppp",
        "python3-tpm2-pytss",  # for its libraries; the module itself is of tests/support/tpm.sh
        "dbus-daemon",
        "network-manager",
        "modemmanager",
        "udev",  # ModemManager wants what it says of a port
        "iproute2",  # tc: delay and loss
        "wpasupplicant",
        "hostapd",
    ),
    wheels=("pytest>=8.2", "dbus-fast>=3.0", "rpi-lgpio>=0.6", "luma.lcd>=2.10"),
    platforms=(
        "manylinux_2_34_x86_64",
        "manylinux_2_28_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    ),
    modules=(
        "virtio_pci",
        "virtio_blk",
        "virtio_rng",
        "crc32c_generic",
        "ext4",
        "9p",
        "9pnet_virtio",
    ),
    disk_mib=2048,
    furnish=_furnish,
)


if __name__ == "__main__":
    try:
        print(RECIPE.prepare().folder)
    except CannotBuild as error:
        sys.exit(f"rig: {error}")
