import os
import signal

import pytest

from paddleseg_sclc.dataset.parallel import run_tasks
from paddleseg_sclc.errors import SclcError


def work(task):
    if task == "bad":
        raise SclcError("bad data")
    if task == "huge":
        raise MemoryError
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "bug":
        raise KeyError("a bug")
    return task * 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_ends_its_own_task_only(jobs):
    results = dict(run_tasks(work, ["a", "bad", "huge", "b"], jobs))
    assert results[0] == "aa"
    assert str(results[1]) == "bad data"
    assert "memory" in str(results[2])
    assert results[3] == "bb"


def test_a_process_that_dies_takes_no_other_task_along():
    results = dict(run_tasks(work, ["a", "killed", "b", "c", "d"], 2))
    assert {place: results[place] for place in (0, 2, 3, 4)} == {0: "aa", 2: "bb", 3: "cc", 4: "dd"}
    assert "the process that worked on it died" in str(results[1])


def test_a_bug_is_not_swallowed():
    with pytest.raises(KeyError, match="a bug"):
        dict(run_tasks(work, ["a", "bug"], 2))


def test_no_tasks():
    assert list(run_tasks(work, [], 4)) == []
