"""Files that are either whole or absent: write beside, then rename."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paddleseg_sclc.errors import SclcError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` when the block succeeds.

    The temporary file keeps the suffix, for writers that choose a format by it. Parent folders
    are made. If the block raises, the temporary file is removed and `path` is as it was.

    Args:
        path: the file to write.

    Raises:
        SclcError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:80]}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno in _REASONS:
            raise write_error(path, error) from error
        raise
    finally:
        with suppress(OSError):  # a parent that is a file
            temporary.unlink(missing_ok=True)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder with its parents, and check that it can be written to.

    Raises:
        SclcError: a file has this name, or the folder cannot be made or written to.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{uuid.uuid4().hex[:8]}.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise write_error(path, error) from error
    return path


_REASONS = {
    errno.EACCES: "no permission to write here; choose another folder",
    errno.EPERM: "no permission to write here; choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EEXIST: "a file has this name; choose another folder",
    errno.ENOTDIR: "a file stands where a folder must be; choose another folder",
    errno.EISDIR: "a folder has this name; choose another file name",
    errno.ENAMETOOLONG: "the name is too long for this file system; choose a shorter one",
}


def write_error(path: str | os.PathLike[str], error: OSError) -> SclcError:
    """Turn an OSError on writing `path` into a one-line error with its remedy."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return SclcError(f"{path}: cannot be written: {reason}")
