"""An ordinary user account with subordinate IDs, created for the tests and removed afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from support.needs import need_program, need_root, skip

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_NEEDED = (Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[2])


class User:
    """An ordinary user, in a mount namespace in which every user can reach this Python and /dev/fuse.

    `home` and `runtime` (XDG_RUNTIME_DIR) are the user's folders below `place`. The user's storage.conf puts the store
    at `graph` and `run_root`.
    """

    def __init__(self, place: Path) -> None:
        self.name = f"layertui-{os.getpid()}"
        self.place, self.home, self.runtime = place, place / "home", place / "run"
        self.graph, self.run_root = self.home / "graph", self.runtime / "containers"
        subprocess.run(["useradd", "-M", "-d", self.home, "-s", "/bin/sh", self.name], check=True)
        self.uid = int(subprocess.check_output(["id", "-u", self.name]))
        for folder in (self.home, self.runtime):
            folder.mkdir(mode=0o700)
            os.chown(folder, self.uid, self.uid)
        self.configure()
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", self._script()], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"

    def configure(self, **overlay: str) -> None:
        """Write the user's storage.conf with these options of the overlay driver."""
        lines = [
            "[storage]",
            'driver = "overlay"',
            f'graphroot = "{self.graph}"',
            f'runroot = "{self.run_root}"',
            "[storage.options.overlay]",
            *(f'{key} = "{value}"' for key, value in overlay.items()),
        ]
        self.write(self.home / ".config/containers/storage.conf", "\n".join(lines))

    def write(self, path: Path, text: str) -> None:
        """Write a file that the user owns."""
        for folder in reversed(path.relative_to(self.place).parents):
            if not (self.place / folder).exists():
                (self.place / folder).mkdir()
                os.chown(self.place / folder, self.uid, self.uid)
        path.write_text(text)
        os.chown(path, self.uid, self.uid)

    def command(self, *words: str | Path, chroot: bool = False, **environ: str | Path) -> list[str]:
        """Return the command with which root runs `words` as the user.

        With `chroot` the user cannot create user namespaces, because the kernel forbids it in a chroot.
        """
        variables = {
            "HOME": self.home,
            "XDG_RUNTIME_DIR": self.runtime,
            "XDG_CACHE_HOME": self.home / "cache",
            "PATH": _PATH,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            **environ,
        }
        enter = ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", f"--wd={self.home}"]
        enter += ["chroot", str(self.place / "hold/root")] if chroot else []
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--init-groups", "--reset-env"]
        return [*enter, *become, "env", *(f"{key}={value}" for key, value in variables.items()), *map(str, words)]

    def run(self, *words: str | Path, chroot: bool = False, **environ: str | Path) -> str:
        """Run a program as the user and return its output."""
        command = self.command(*words, chroot=chroot, **environ)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout

    def python(self, code: str, *, within: Sequence[str] = (), chroot: bool = False, **environ: str | Path) -> Any:
        """Run Python code as the user, and return what it last passed to `tell`, a function defined for the code.

        `within` is a command to run Python with, such as `podman unshare`.
        """
        prelude = "import json, os\ndef tell(what):\n    print(json.dumps(what, default=str))\n"
        said = self.run(*within, sys.executable, "-c", prelude + code, chroot=chroot, **environ)
        return json.loads(said.splitlines()[-1])

    def pause_file(self) -> Path:
        """Return the file in which Podman records its pause process."""
        return self.runtime / "libpod/tmp/pause.pid"

    def end_pause(self) -> None:
        """Kill Podman's pause process, which ends its namespace."""
        with contextlib.suppress(FileNotFoundError):
            pid = int(self.pause_file().read_text())
            assert os.stat(f"/proc/{pid}").st_uid == self.uid
            os.kill(pid, signal.SIGKILL)
            self.pause_file().unlink()
            wait_for_end(pid)

    def processes(self) -> list[int]:
        """Return the user's processes, without zombies."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == self.uid and not has_ended(int(folder.name)):
                    found.append(int(folder.name))
        return found

    def close(self) -> None:
        """Kill the user's processes and remove the account."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._holder.kill()
        self._holder.communicate()
        for pid in self.processes():
            wait_for_end(pid)
        subprocess.run(["userdel", self.name], check=True, capture_output=True)

    def _script(self) -> str:
        """Return a script that makes this Python and /dev/fuse reachable, in a private mount namespace."""
        lines = ["mount --make-rprivate /", f"mkdir {self.place}/hold", f"mount -t tmpfs hold {self.place}/hold"]
        blocked: dict[Path, list[Path]] = {}
        for path in dict.fromkeys(_NEEDED):
            closed = next((part for part in (*reversed(path.parents), path) if not part.stat().st_mode & 0o001), None)
            if closed == path:
                skip(f"{path} is readable by its owner only")
            if closed is not None:
                blocked.setdefault(closed, []).append(path)
        for closed, paths in blocked.items():
            holds = {path: f"{self.place}/hold/{number}" for number, path in enumerate(paths)}
            lines += [f"mkdir {hold}\nmount --rbind {path} {hold}" for path, hold in holds.items()]
            lines.append(f"mount -t tmpfs -o mode=755 none {closed}")
            lines += [f"mkdir -p {path}\nmount --move {hold} {path}" for path, hold in holds.items()]
        if os.path.exists("/dev/fuse"):
            node = f"{self.place}/hold/fuse"
            lines += [f"mknod {node} c 10 229", f"chmod 666 {node}", f"mount --bind {node} /dev/fuse"]
        lines += [f"mkdir {self.place}/hold/root", f"mount --rbind / {self.place}/hold/root"]
        return "\n".join([*lines, "mount --make-rshared /", "echo ready", "exec sleep 3600"])


def has_ended(pid: int) -> bool:
    """Return whether a process has ended. A zombie counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for_end(pid: int) -> None:
    """Wait up to 5 s until a process has ended."""
    for _ in range(500):
        if has_ended(pid):
            return
        time.sleep(0.01)


@contextlib.contextmanager
def ordinary_user() -> Iterator[User]:
    """Create a user for the duration of a block, or skip the test if that is impossible."""
    need_root()
    for program in ("useradd", "userdel", "unshare", "nsenter", "setpriv", "newuidmap"):
        need_program(program)
    place = Path(tempfile.mkdtemp(prefix="layertui-user-"))
    place.chmod(0o755)
    try:
        user = User(place)
        try:
            yield user
        finally:
            user.close()
    finally:
        shutil.rmtree(place)


def build_images(user: User) -> None:
    """Build the images `base` and `top` with the user's Buildah. `top` deletes and changes files of `base`."""
    need_program("buildah")
    need_program("podman")
    script = """
        mkdir -p $HOME/context/d/e
        cd $HOME/context
        echo one > one; echo two > two; echo three > d/three; echo four > d/e/four; ln -s one link
        c=$(buildah from scratch); buildah copy -q --chown 1000:1000 $c . / > /dev/null
        buildah commit -q --rm $c base > /dev/null
        c=$(buildah from base); m=$(buildah mount $c)
        rm -r $m/one $m/d; mkdir $m/d; echo new > $m/d/new; echo changed > $m/two; chown 7:8 $m/two
        buildah commit -q --rm $c top > /dev/null
    """
    user.run("buildah", "unshare", "sh", "-ec", script)
