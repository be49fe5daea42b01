"""The contents of the demo store: Debian with two applications, Alpine with a web server, and static tools."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Text:
    """A text file."""

    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class DemoLayer:
    """One layer.

    `day` is its creation time in days after the base layer. A file given as a number has that many random bytes.
    """

    key: str
    parent: str = ""
    names: tuple[str, ...] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)
    metadata: str = ""
    compression: str = ""
    day: int = 0
    files: Mapping[str, int | Text] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The layer's ID, which is the same in every build so that snapshots of the demo do not change."""
        return hashlib.sha256(f"layertui demo {self.key}".encode()).hexdigest()


def _docs(*packages: str) -> dict[str, Text]:
    text = "This is a demo file of layertui.\nThe copyright notice of the package would be here.\n"
    return {f"usr/share/doc/{package}/copyright": Text(text * 20) for package in packages}


DEBIAN = DemoLayer(
    key="debian-base",
    names=("debian-base",),
    compression="gz",
    metadata='{"comment":"debootstrap minbase"}',
    files={
        "etc/os-release": Text(
            'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n'
        ),
        "etc/passwd": Text(
            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        ),
        "etc/shadow": Text("root:*:19700:0:99999:7:::\n", 0o640),
        "etc/apt/sources.list": Text("deb http://mirror.example/debian bookworm main\n"),
        "usr/bin/bash": 1_265_648,
        "usr/bin/dpkg": 318_176,
        "usr/bin/apt": 18_752,
        "usr/lib/x86_64-linux-gnu/libc.so.6": 1_926_256,
        "usr/lib/x86_64-linux-gnu/libcrypto.so.3": 4_709_432,
        "usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30": 2_190_440,
        "var/lib/dpkg/status": 98_304,
        "var/cache/apt/pkgcache.bin": 1_572_864,
        "var/cache/apt/archives/libssl3_3.0.11_amd64.deb": 912_384,
        **_docs("bash", "dpkg", "apt", "libc6", "libssl3"),
    },
    links={"bin": "usr/bin", "lib": "usr/lib", "usr/bin/sh": "bash"},
)
APT_CLEAN = DemoLayer(
    key="debian-clean",
    parent="debian-base",
    compression="gz",
    day=1,
    files={"etc/apt/apt.conf.d/docker-clean": Text("APT::Keep-Downloaded-Packages false;\n")},
    deleted=("var/cache/apt/pkgcache.bin",),
    opaque=("var/cache/apt/archives", "usr/share/doc"),
)
PYTHON = DemoLayer(
    key="python",
    parent="debian-clean",
    names=("python-3.12",),
    compression="gz",
    day=9,
    files={
        "usr/local/bin/python3.12": 6_912_512,
        "usr/local/lib/libpython3.12.so.1.0": 5_767_168,
        "usr/local/lib/python3.12/os.py": Text('"""OS routines, in a demo\'s own words."""\n' * 400),
        "usr/local/lib/python3.12/asyncio/events.py": 29_339,
        "usr/local/lib/python3.12/asyncio/tasks.py": 37_402,
        "usr/local/lib/python3.12/json/decoder.py": 12_473,
        "usr/local/lib/python3.12/ssl.py": 50_822,
        "usr/local/lib/python3.12/test/test_grammar.py": 68_000,
    },
    links={"usr/local/bin/python3": "python3.12", "usr/local/bin/python": "python3"},
)
WEB_DEPS = DemoLayer(
    key="web-deps",
    parent="python",
    compression="gz",
    day=20,
    files={
        "app/requirements.txt": Text("flask==3.0.0\ngunicorn==21.2.0\npsycopg==3.1.14\n"),
        "usr/local/lib/python3.12/site-packages/flask/app.py": 61_002,
        "usr/local/lib/python3.12/site-packages/flask/cli.py": 35_715,
        "usr/local/lib/python3.12/site-packages/werkzeug/serving.py": 39_770,
        "usr/local/lib/python3.12/site-packages/gunicorn/arbiter.py": 21_200,
        "usr/local/lib/python3.12/site-packages/psycopg_binary/_psycopg.so": 2_834_112,
        "usr/local/bin/gunicorn": Text(
            "#!/usr/local/bin/python3\nfrom gunicorn.app.wsgiapp import run\nrun()\n", 0o755
        ),
        "root/.cache/pip/wheel-flask.whl": 99_724,
        "root/.cache/pip/wheel-psycopg.whl": 1_204_480,
    },
    deleted=("usr/local/lib/python3.12/test/test_grammar.py",),
)
WEB_CODE = DemoLayer(
    key="web-code",
    parent="web-deps",
    names=("web-app",),
    compression="gz",
    day=21,
    files={
        "app/app.py": Text(
            'from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get("/")\ndef index():\n    return "hello"\n'
        ),
        "app/templates/index.html": Text("<!doctype html>\n<title>demo</title>\n<h1>It works</h1>\n"),
        "app/static/app.js": 184_320,
        "app/static/app.css": 42_118,
        "etc/passwd": Text("root:x:0:0:root:/root:/bin/bash\napp:x:1000:1000::/app:/usr/sbin/nologin\n"),
    },
    deleted=("root/.cache/pip/wheel-flask.whl", "root/.cache/pip/wheel-psycopg.whl"),
)
WEB_RW = DemoLayer(
    key="web-rw",
    parent="web-code",
    names=("web-1-rw",),
    flags={"container": "web-1"},
    day=27,
    files={
        "app/static/app.css": 43_022,
        "var/log/gunicorn/access.log": Text('10.0.0.7 - - "GET / HTTP/1.1" 200 5\n' * 900),
        "run/gunicorn.pid": Text("17\n"),
    },
)
WORKER = DemoLayer(
    key="worker",
    parent="web-deps",
    names=("worker",),
    compression="gz",
    day=23,
    files={
        "app/worker.py": Text("import time\n\nwhile True:\n    time.sleep(1)\n"),
        "app/model.bin": 7_340_032,
    },
)
ABANDONED = DemoLayer(
    key="web-old",
    parent="python",
    names=("web-app-2024",),
    flags={"note": "kept for the audit"},
    compression="gz",
    day=11,
    files={
        "app/app.py": Text("import http.server\nhttp.server.test()\n"),
        "app/dump.sql": 5_242_880,
        "usr/local/lib/python3.12/ssl.py": 50_902,
    },
)
ALPINE = DemoLayer(
    key="alpine",
    names=("alpine-base",),
    compression="gz",
    day=4,
    files={
        "etc/os-release": Text('NAME="Alpine Linux"\nVERSION_ID=3.19.1\n'),
        "etc/apk/world": Text("alpine-baselayout\nbusybox\n"),
        "bin/busybox": 919_304,
        "lib/ld-musl-x86_64.so.1": 637_416,
        "lib/apk/db/installed": 14_336,
    },
    links={"bin/sh": "busybox", "bin/ls": "busybox", "bin/cat": "busybox"},
)
NGINX = DemoLayer(
    key="nginx",
    parent="alpine",
    names=("nginx-1.25",),
    compression="bz2",
    day=12,
    files={
        "usr/sbin/nginx": 1_236_912,
        "etc/nginx/nginx.conf": Text("events {}\nhttp { server { listen 80; root /usr/share/nginx/html; } }\n"),
        "etc/nginx/mime.types": 5_349,
        "usr/share/nginx/html/index.html": Text("<h1>Welcome</h1>\n"),
        "usr/share/nginx/html/50x.html": Text("<h1>An error occurred.</h1>\n"),
        "etc/apk/world": Text("alpine-baselayout\nbusybox\nnginx\n"),
        "lib/apk/db/installed": 22_528,
    },
)
SITE = DemoLayer(
    key="site",
    parent="nginx",
    names=("company-site",),
    compression="xz",
    day=25,
    files={
        "usr/share/nginx/html/index.html": Text("<!doctype html>\n<title>日本語 café</title>\n<h1>Hello</h1>\n"),
        "usr/share/nginx/html/images/hero.jpg": 2_411_724,
        "usr/share/nginx/html/images/team photo.jpg": 1_812_430,
        "usr/share/nginx/html/downloads/catalogue.pdf": 3_355_443,
    },
    deleted=("usr/share/nginx/html/50x.html",),
)
PROXY = DemoLayer(
    key="proxy",
    parent="nginx",
    compression="gz",
    day=14,
    files={"etc/nginx/nginx.conf": Text("events {}\nstream { server { listen 443; proxy_pass app:443; } }\n")},
    opaque=("usr/share/nginx/html",),
)
TOOLS = DemoLayer(
    key="tools",
    names=("static-tools",),
    day=16,
    files={"usr/bin/jq": 1_520_000, "usr/bin/yq": 3_980_000, "etc/tools.conf": Text("colour = always\n")},
)
TOOLS_NEW = DemoLayer(
    key="tools-new",
    parent="tools",
    names=("static-tools-next",),
    day=29,
    files={"usr/bin/yq": 4_112_384, "usr/bin/fd": 2_760_704},
    deleted=("etc/tools.conf",),
)

FAMILIES: tuple[tuple[DemoLayer, ...], ...] = (
    (DEBIAN, APT_CLEAN, PYTHON, WEB_DEPS, WEB_CODE, WEB_RW, WORKER, ABANDONED),
    (ALPINE, NGINX, SITE, PROXY),
    (TOOLS, TOOLS_NEW),
)

IMAGES: list[dict[str, Any]] = [
    {"id": "1f" * 32, "names": ["localhost/python:3.12"], "layer": "python"},
    {"id": "2e" * 32, "names": ["localhost/web:2.3", "localhost/web:latest"], "layer": "web-code"},
    {"id": "3d" * 32, "names": ["localhost/worker:2.3"], "layer": "worker"},
    {"id": "4c" * 32, "names": ["localhost/site:latest"], "layer": "site"},
    {"id": "5b" * 32, "names": ["localhost/proxy:1"], "layer": "proxy"},
    {"id": "6a" * 32, "names": ["localhost/tools:1"], "layer": "tools"},
]
CONTAINERS: list[dict[str, Any]] = [{"id": "c0" * 32, "names": ["web-1"], "image": "2e" * 32, "layer": "web-rw"}]
