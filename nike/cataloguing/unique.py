"""Finds duplicates among any number of ids in bounded memory.

A 128-bit hash and the row number of each id (24 bytes) are written to one of BUCKETS files, chosen by the hash. The
files are then sorted one at a time. 10^8 ids require 2.4 GB of disk. Each of the 64 files then has 38 MB, and sorting
it requires about 150 MB of memory. The probability of a hash collision is 1.5e-23 for 10^8 ids.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

BUCKETS = 64
WORDS = 3  # uint64 values per record: two for the hash, one for the row number


class UniqueIds:
    """Context manager that collects ids and finds a repeated one.

    Args:
        folder: folder for the temporary files, which are deleted on exit.
    """

    def __init__(self, folder: Path):
        self.count = 0
        self._folder, self._stack = folder, ExitStack()

    def __enter__(self) -> UniqueIds:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder, prefix=".ids")))
        self._paths = [folder / f"{i}" for i in range(BUCKETS)]
        self._files = [self._stack.enter_context(path.open("wb")) for path in self._paths]
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def add(self, ids: Iterable[str]) -> None:
        """Adds the ids of the next rows."""
        encoded = (text.encode("utf-8", "surrogatepass") for text in ids)
        hashes = b"".join(hashlib.blake2b(text, digest_size=16).digest() for text in encoded)
        keys = np.frombuffer(hashes, dtype=np.uint64).reshape(-1, 2)
        rows = np.arange(self.count, self.count + len(keys), dtype=np.uint64)
        bucket = keys[:, 0] % np.uint64(BUCKETS)
        order = np.argsort(bucket, kind="stable")
        records = np.column_stack([keys, rows])[order]
        ends = np.searchsorted(bucket[order], np.arange(BUCKETS + 1))
        for file, start, end in zip(self._files, ends, ends[1:], strict=False):
            file.write(records[start:end].tobytes())
        self.count += len(keys)

    def find_duplicate(self) -> tuple[int, int] | None:
        """Returns the row numbers, from 0, of two rows with the same id, or None."""
        for file, path in zip(self._files, self._paths, strict=True):
            file.flush()
            records = np.fromfile(path, dtype=np.uint64).reshape(-1, WORDS)
            records = records[np.lexsort((records[:, 2], records[:, 1], records[:, 0]))]
            same = (records[1:, :2] == records[:-1, :2]).all(axis=1)
            if same.any():
                i = int(same.argmax())
                return int(records[i, 2]), int(records[i + 1, 2])
        return None
