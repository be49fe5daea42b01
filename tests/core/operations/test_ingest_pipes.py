"""`Ingest` with slow pipes and sockets."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
import time
from typing import Any

import pytest

from layerstore.archive.compression import compressor
from layerstore.model import Compression
from layerstore.operations.ingest import Ingest, IngestResult
from support.tars import make_tar

TAR = make_tar({"a": b"alpha" * 1000, "d/b": os.urandom(1 << 20)}) + b"trailing bytes"
DIGEST = "sha256:" + hashlib.sha256(TAR).hexdigest()


def ingest(source: Any) -> IngestResult:
    with Ingest(source, io.BytesIO()) as work:
        for _ in work.entries():
            pass
        return work.result()


@pytest.mark.parametrize("buffering", [0, -1])
@pytest.mark.parametrize("kind", [Compression.NONE, Compression.ZSTD])
def test_a_slow_pipe_is_read_to_its_end(buffering: int, kind: Compression) -> None:
    data = TAR
    if kind:
        encoder = compressor(kind)
        data = encoder.compress(TAR) + encoder.flush()
    read, write = os.pipe()

    def feed() -> None:
        with os.fdopen(write, "wb") as out:
            out.write(data[:1000])
            out.flush()
            time.sleep(0.15)
            out.write(data[1000:])

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(read, "rb", buffering=buffering) as source:
        if isinstance(source, io.BufferedReader):
            source.peek(1)  # polling the descriptor does not see bytes in the buffer
        assert ingest(source).diff_digest == DIGEST
    feeder.join()


def test_a_socket_is_a_source() -> None:
    here, there = socket.socketpair()
    with here, there, here.makefile("rb") as source:
        feeder = threading.Thread(target=lambda: (there.sendall(TAR), there.shutdown(socket.SHUT_WR)))
        feeder.start()
        assert ingest(source).diff_digest == DIGEST
        feeder.join()
