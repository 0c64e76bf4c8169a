"""What a preparation has finished, so that the next run of the same command goes on from there.

A task (a slide, or the augmentation of its patches) has a key: everything its result depends on.
Its record is written twice: before the work, with all files that may come to be, and after it.
Whatever kills a run in between, the next one knows which files are not to be trusted.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddleseg_sclc.errors import SclcError, UsageError
from paddleseg_sclc.files import atomic_path, make_folder

_FOLDER = ".prepared"
# How `files.atomic_path` calls a file until it is whole.
_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{8}\.part(\.[a-z]+)?")
_README = (
    "What tools/prepare_dataset.py has finished. Without this folder it starts over; "
    "training does not need it.\n"
)


@dataclass(frozen=True)
class Record:
    """A finished task.

    Attributes:
        key: all that the result depends on, JSON values.
        files: path relative to the dataset -> size in bytes.
        result: what the task found out, JSON values.
    """

    key: Mapping[str, Any]
    files: Mapping[str, int]
    result: Mapping[str, Any]


class Ledger:
    """The records of one dataset folder.

    Args:
        root: the dataset folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / _FOLDER

    @property
    def exists(self) -> bool:
        """Whether a preparation has begun here."""
        return self.folder.is_dir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep other preparations out of it for the time being.

        Raises:
            UsageError: another one is at work, or the folder holds something else.
        """
        if self.root.is_dir() and any(self.root.iterdir()) and not self.exists:
            raise UsageError(
                f"{self.root}: must be empty or a dataset made by tools/prepare_dataset.py, but "
                "holds other files; choose another --output"
            )
        make_folder(self.folder)
        with atomic_path(self.folder / "README.txt") as temporary:
            temporary.write_text(_README, encoding="utf-8")
        with open(self.folder / "lock", "w") as lock:
            _lock(lock.fileno(), self.root)
            self._sweep()
            yield

    def finished(self, task: str, key: Mapping[str, Any]) -> Record | None:
        """The record of a task if it was done with this key and its files are still there."""
        content = self._read(task)
        if content is None or not content["done"] or content["key"] != _plain(key):
            return None
        for name, size in content["files"].items():
            path = self.root / name
            if not path.is_file() or path.stat().st_size != size:
                return None
        return Record(content["key"], content["files"], content["result"])

    def begin(self, task: str, key: Mapping[str, Any], files: Iterable[str]) -> None:
        """Note that a task may write `files` (relative to the dataset) from now on."""
        planned = dict.fromkeys([*files, *self._files(task)], 0)
        self._write(task, {"key": _plain(key), "done": False, "files": planned, "result": {}})

    def finish(
        self, task: str, key: Mapping[str, Any], files: Iterable[str], result: Mapping[str, Any]
    ) -> Record:
        """Note that a task is done; files of an earlier run that it no longer has are removed."""
        sizes = {name: (self.root / name).stat().st_size for name in sorted(files)}
        for name in set(self._files(task)) - set(sizes):
            self._remove_file(name)
        record = Record(_plain(key), sizes, _plain(result))
        content = {"key": record.key, "done": True, "files": sizes, "result": record.result}
        self._write(task, content)
        return record

    def drop_others(self, tasks: Iterable[str]) -> None:
        """Remove the records, with their files, of all tasks but these."""
        kept = {self._path(task) for task in tasks}
        for path in sorted(self.folder.glob("*.json")):
            if path not in kept:
                for name in self._files(path.stem):
                    self._remove_file(name)
                path.unlink()

    def _sweep(self) -> None:
        """Remove the unfinished files of a run that was killed."""
        for path in self.root.rglob(".*.part*"):
            if _UNFINISHED.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def _path(self, task: str) -> Path:
        return self.folder / f"{task}.json"

    def _read(self, task: str) -> dict[str, Any] | None:
        try:
            content = json.loads(self._path(task).read_text(encoding="utf-8"))
            return content if set(content) == {"key", "done", "files", "result"} else None
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _write(self, task: str, content: Mapping[str, Any]) -> None:
        with atomic_path(self._path(task)) as temporary:
            text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
            temporary.write_text(text + "\n", encoding="utf-8")

    def _files(self, task: str) -> list[str]:
        content = self._read(task)
        return [] if content is None else list(content["files"])

    def _remove_file(self, name: str) -> None:
        path = self.root / name
        # A record is a file that anybody can edit: nothing outside the dataset is removed.
        if self.root.resolve() in path.resolve().parents:
            path.unlink(missing_ok=True)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(value, sort_keys=True))
    return plain


def _lock(descriptor: int, root: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: nobody is kept out
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SclcError(f"{root}: another preparation is at work here; wait for its end") from None
    except OSError:  # a file system without locks
        return


def fingerprint(path: Path) -> dict[str, Any]:
    """What tells a changed file from an unchanged one without reading it.

    Raises:
        SclcError: it is not there any more.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SclcError(f"{path}: cannot be read: {error.strerror or error}") from error
    return {"name": os.fspath(path.name), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
