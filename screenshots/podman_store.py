"""A store for the pictures, made by Podman and Buildah in their default folders, within a private mount namespace.

The images contain files of this machine's packages, and invented names, accounts and texts. Times are set to fixed
days, so that the pictures change only when the program does.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from layerstore import LayerStore
from layerstore.linux.atomic import write_file

NOW = datetime(2025, 6, 15, 12, 0, tzinfo=UTC)
GRAPH_ROOT = Path("/var/lib/containers/storage")
RUN_ROOT = Path("/run/containers/storage")
WORK = Path("/srv")
"""The working folder of the program, which the pictures show."""

PROGRAMS = ("podman", "buildah", "unshare", "mount")
_INSIDE = "LAYERTUI_SCREENSHOTS_INSIDE"
_PLACES = ("/var/lib/containers", "/run/containers", "/srv")
_UP = timedelta(hours=2)
"""The age of the containers."""

_NOISE = random.Random("layertui")

_STORAGE_CONF = f"""
[storage]
driver = "overlay"
graphroot = "{GRAPH_ROOT}"
runroot = "{RUN_ROOT}"
"""
_CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=100:100"]
log_driver = "k8s-file"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "/run/containers/libpod"
"""


def why_not() -> str:
    """Return why the store cannot be made here, "" if it can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"missing: {', '.join(missing)}" if missing else ""


def inside() -> bool:
    """Return whether this process is in the private mount namespace."""
    return _INSIDE in os.environ


def go_inside() -> None:
    """Run this program again in a private mount namespace, and exit with its status."""
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
    sys.exit(subprocess.run(command, env={**os.environ, _INSIDE: "1"}, check=False).returncode)


def make() -> None:
    """Mount empty tmpfs over the machine's folders, and make the store in them."""
    for place in _PLACES:
        Path(place).mkdir(exist_ok=True)  # on a machine where Podman has not run yet
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=100G", "layertui", place], check=True)
    for name, text in (("storage", _STORAGE_CONF), ("containers", _CONTAINERS_CONF)):
        path = Path(f"/run/containers/{name}.conf")
        path.write_text(text)
        os.environ["CONTAINERS_STORAGE_CONF" if name == "storage" else "CONTAINERS_CONF"] = str(path)
    _build_images()
    _use_images()
    _break()
    _age()


def close() -> None:
    """Remove the containers. The mounts end with the namespace."""
    _try("podman", "rm", "--all", "--force", "--time", "0")
    _try("buildah", "rm", "--all")


# Images

Step = Callable[[Path], None]


def _build_images() -> None:
    images: dict[str, str] = {}
    for base, day, name, step in (
        ("scratch", 40, "debian:12", _debian),
        ("debian:12", 40, "debian:12-slim", _slim),
        ("debian:12-slim", 33, "python:3.11", _python),
        ("python:3.11", 12, "", _requirements),
        ("_requirements", 12, "", _code),
        ("_code", 12, "", _catalogue),
        ("_catalogue", 12, "", _give_to_user),
        ("_give_to_user", 12, "shop:2.3", _tidy),
        ("_requirements", 5, "worker:2.3", _worker),
        ("debian:12-slim", 26, "buildah:1.28", _buildah),
        ("scratch", 20, "static/motd:1", _motd),
    ):
        images[name or step.__name__] = _commit(images.get(base, base), step, name, NOW - timedelta(days=day))
    _run("podman", "tag", "localhost/shop:2.3", "localhost/shop:latest")


def _commit(base: str, step: Step, name: str, when: datetime) -> str:
    container = _run("buildah", "from", "--pull-never", base)
    step(Path(_run("buildah", "mount", container)))
    names = [f"localhost/{name}"] if name else []
    stamp = str(int(when.timestamp()))
    return _run("buildah", "commit", "--quiet", "--rm", "--timestamp", stamp, container, *names)


def _debian(root: Path) -> None:
    for folder in ("bin", "sbin", "lib"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    (root / "lib64").symlink_to("usr/lib64")
    (root / "tmp").mkdir(mode=0o1777)
    _packages(
        root, "base-files", "bash", "coreutils", "dash", "dpkg", "libc6", "libselinux1", "libpcre2-8-0", "libtinfo6"
    )
    _packages(root, "libacl1", "libattr1", "libgmp10", "grep", "sed", "tzdata")
    (root / "usr/bin/sh").unlink(missing_ok=True)
    (root / "usr/bin/sh").symlink_to("bash")
    texts = {
        "usr/lib/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "etc/group": "root:x:0:\nnogroup:x:65534:\n",
        "etc/apt/sources.list": "deb http://deb.example.org/debian bookworm main\n",
        "etc/hostname": "debian\n",
    }
    _write(root, texts)
    _noise(root, "var/cache/apt/pkgcache.bin", 6_180_422)
    for package, size in (("libssl3_3.0.17-1~deb12u2", 2_026_884), ("perl-base_5.36.0-7", 1_608_504)):
        _noise(root, f"var/cache/apt/archives/{package}_amd64.deb", size)


def _slim(root: Path) -> None:
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt"):
        shutil.rmtree(root / folder, ignore_errors=True)
    _write(root, {"etc/apt/apt.conf.d/docker-clean": "APT::Keep-Downloaded-Packages false;\n"})


def _python(root: Path) -> None:
    _packages(root, "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libexpat1", "zlib1g")
    (root / "usr/bin/python3").symlink_to("python3.11")
    _noise(root, "root/.cache/pip/wheels/setuptools-65.5.1-py3-none-any.whl", 1_231_016)


_SITE = "usr/lib/python3/dist-packages"


def _requirements(root: Path) -> None:
    _write(root, {"app/requirements.txt": "humanize==4.12\nmarkdown-it-py==3.0\nmsgspec==0.19\nPygments==2.19\n"})
    site = Path(sysconfig.get_path("platlib"))
    for module in ("humanize", "markdown_it", "msgspec", "pygments"):
        shutil.copytree(site / module, root / _SITE / module, ignore=shutil.ignore_patterns("__pycache__", "locale"))
    for wheel, size in (("pygments-2.19.1", 1_225_293), ("msgspec-0.19.0", 213_400), ("markdown_it_py-3.0.0", 87_528)):
        _noise(root, f"root/.cache/pip/http/{wheel}-py3-none-any.whl", size)


_SHOP = '''"""The shop: prices in, pages out."""

import json
from pathlib import Path
from wsgiref.simple_server import make_server

from humanize import intcomma
from markdown_it import MarkdownIt

HERE = Path(__file__).parent
PRICES = json.loads((HERE / "prices.json").read_text())


def page(article: str) -> str:
    """Return one article's page."""
    text = (HERE / "articles" / f"{article}.md").read_text()
    price = intcomma(PRICES[article])
    return f"<!doctype html>{MarkdownIt().render(text)}<p>{price} €</p>"


def answer(environ, start):
    """Answer a request."""
    start("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page(environ["PATH_INFO"].strip("/") or "teapot").encode()]


if __name__ == "__main__":
    make_server("", 8000, answer).serve_forever()
'''


def _code(root: Path) -> None:
    articles = {f"app/articles/{name}.md": f"# {name.title()}\n\nHolds 1.2 l.\n" for name in ("teapot", "jug", "bowl")}
    passwd = (root / "etc/passwd").read_text()
    _write(
        root,
        {
            **articles,
            "app/shop.py": _SHOP,
            "app/prices.json": '{"teapot": 3900, "jug": 2450, "bowl": 1275}\n',
            "app/secrets.env": "SHOP_KEY=not-a-real-key\nSHOP_DB=postgres://shop@db/shop\n",
            "etc/passwd": f"{passwd}shop:x:1000:1000::/app:/usr/sbin/nologin\n",
        },
    )
    _noise(root, "app/static/teapot.jpg", 2_411_724)
    _noise(root, "app/static/jug.jpg", 1_812_430)


def _catalogue(root: Path) -> None:
    _noise(root, "app/data/catalogue.db", 28_311_552)


def _give_to_user(root: Path) -> None:
    """Do what `RUN chown -R shop /app` does, which copies each file up into this layer."""
    for folder, _, files in os.walk(root / "app"):
        for name in (".", *files):
            os.chown(os.path.join(folder, name), 1000, 1000)


def _tidy(root: Path) -> None:
    shutil.rmtree(root / "root/.cache")
    (root / "app/secrets.env").unlink()
    _write(root, {"etc/shop.conf": "listen = 8000\nlog = /var/log/shop.log\n"})


def _worker(root: Path) -> None:
    _write(root, {"app/worker.py": "import time\n\nwhile True:\n    time.sleep(1)\n"})
    _noise(root, "app/model.onnx", 19_340_032)
    shutil.rmtree(root / "root/.cache")


def _buildah(root: Path) -> None:
    _packages(root, "buildah", "runc", "conmon", "libseccomp2", "libgpgme11", "ca-certificates")


def _motd(root: Path) -> None:
    _write(root, {"motd": "日本語, café, naïve: names are shown as they are.\n", "etc/motd.conf": "colour = always\n"})


# Containers and damage


def _use_images() -> None:
    create = ("podman", "create", "--pull=never", "--name")
    script = "echo 'listening on 8000' > /var/log/shop.log; echo 3 > /app/data/sessions; exec sleep 3600"
    _run(*create, "shop-2", "localhost/shop:2.3", "/usr/bin/python3", "/app/shop.py")
    started = ("podman", "run", "--detach", "--pull=never", "--name", "shop-1", "localhost/shop:2.3")
    if not _try(*started, "/bin/sh", "-c", script):
        print("screenshots: cannot run containers here; shop-1 is created but not started", file=sys.stderr)
        _try("podman", "rm", "--force", "shop-1")
        _run(*create, "shop-1", "localhost/shop:2.3", "/bin/sh", "-c", script)
    _run(*create, "worker-1", "localhost/worker:2.3", "/usr/bin/python3")
    _run("buildah", "from", "--pull-never", "--name", "next-build", "localhost/python:3.11")
    _run("buildah", "mount", "next-build")


def _break() -> None:
    """Leave traces of interrupted builds and pulls, and of someone who edited files below the graph root."""
    store = LayerStore.open(GRAPH_ROOT, RUN_ROOT, driver="overlay")
    python, worker, buildah = (_top(name) for name in ("python:3.11", "worker:2.3", "buildah:1.28"))
    for name, text, size in (("shop-2024", "kept for the audit", 9_640_122), ("pull-interrupted", "", 5_242_880)):
        aside = WORK / "build"
        aside.mkdir()
        _noise(aside, "app/dump.sql", size)
        stamp = f"--mtime=@{(NOW - timedelta(days=31)).timestamp():.0f}"
        tar = subprocess.run(["tar", "-C", aside, stamp, "-c", "app"], check=True, stdout=subprocess.PIPE).stdout
        (WORK / f"{name}.tar").write_bytes(tar)
        layer, _ = store.put(tar, parent=python, names=(name,) if text else (), id=_id(name))
        if text:
            store.set_metadata(layer.id, json.dumps({"note": text}))
        shutil.rmtree(aside)
    overlay = GRAPH_ROOT / "overlay"
    _noise(overlay / _id("forgotten"), "diff/var/lib/apt/lists/Packages", 7_340_032)
    with (overlay / worker / "diff/app/worker.py").open("a") as file:
        file.write("# edited below /var/lib/containers\n")
    (overlay / "l" / (overlay / buildah / "link").read_text()).unlink()


def _age() -> None:
    """Set the creation time of each layer to that of its newest file, and mark one layer incomplete.

    No other process is in this namespace, so this takes no lock. The next command of Podman would remove the
    incomplete layer.
    """
    for name in ("layers", "volatile-layers"):
        path = GRAPH_ROOT / f"overlay-layers/{name}.json"
        if not path.exists():
            continue
        records = json.loads(path.read_bytes())
        for record in records:
            made = _newest(GRAPH_ROOT / "overlay" / record["id"] / "diff") if "diff-digest" in record else NOW - _UP
            record["created"] = made.isoformat().replace("+00:00", "Z")
            if record["id"] == _id("pull-interrupted"):
                record["flags"] = {"incomplete": True}
        write_file(str(path), json.dumps(records, separators=(",", ":")).encode())


def _newest(folder: Path) -> datetime:
    """Return the time of the newest file, without whiteouts, which are as old as this run."""
    times = (path.lstat().st_mtime for path in folder.rglob("*"))
    return datetime.fromtimestamp(max(time for time in times if time < NOW.timestamp()), UTC)


def _top(image: str) -> str:
    """Return the ID of an image's top layer."""
    told = _run("podman", "image", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", f"localhost/{image}")
    return Path(told).parent.name


# Helpers


def _run(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=WORK)
    if done.returncode:
        sys.exit(f"screenshots: {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _try(*command: str) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=WORK)
    return done.returncode == 0


def _packages(root: Path, *names: str) -> None:
    """Copy the files of packages, with one translation. Without dpkg, copy programs with these names."""
    for name in names:
        for path in _files_of(name):
            target = root / str(_merged(path)).lstrip("/")
            translation = "/locale/" in str(path) and "/locale/de/" not in str(path)
            if path.is_file() and not target.exists() and not translation:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target, follow_symlinks=False)


def _files_of(package: str) -> Iterator[Path]:
    if shutil.which("dpkg"):
        done = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
        yield from map(Path, done.stdout.splitlines())
    elif program := shutil.which(package):
        yield Path(program)


def _merged(path: Path) -> Path:
    """Return the path on a system where /bin, /sbin and /lib are links into /usr."""
    return (
        Path("/usr", *path.parts[1:]) if path.parts[1:2] and path.parts[1] in ("bin", "sbin", "lib", "lib64") else path
    )


def _write(root: Path, texts: dict[str, str]) -> None:
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def _noise(root: Path, path: str, size: int) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(_NOISE.randbytes(size))


def _id(name: str) -> str:
    return hashlib.sha256(f"layertui screenshots {name}".encode()).hexdigest()
