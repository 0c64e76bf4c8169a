import json
import multiprocessing

import pytest

from paddleseg_sclc.dataset.ledger import Ledger
from paddleseg_sclc.errors import SclcError, UsageError


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_a_finished_task_is_found_again(tmp_path):
    ledger = Ledger(tmp_path)
    with ledger.locked():
        assert ledger.finished("slide a", {"n": 1}) is None
        ledger.begin("slide a", {"n": 1}, ["images/1.png"])
        assert ledger.finished("slide a", {"n": 1}) is None
        write(tmp_path, "images/1.png")
        ledger.finish("slide a", {"n": 1}, ["images/1.png"], {"rows": [1]})
    record = Ledger(tmp_path).finished("slide a", {"n": 1})
    assert record.result == {"rows": [1]}
    assert ledger.finished("slide a", {"n": 2}) is None


@pytest.mark.parametrize("damage", ["gone", "cut", "record"])
def test_what_was_damaged_since_is_done_again(tmp_path, damage):
    ledger = Ledger(tmp_path)
    with ledger.locked():
        write(tmp_path, "images/1.png")
        ledger.finish("a", {}, ["images/1.png"], {})
        assert ledger.finished("a", {})
        if damage == "gone":
            (tmp_path / "images/1.png").unlink()
        elif damage == "cut":
            (tmp_path / "images/1.png").write_text("x")
        else:
            (tmp_path / ".prepared/a.json").write_text('{"key": {}, "don')
        assert ledger.finished("a", {}) is None


def test_files_of_an_interrupted_attempt_are_cleaned_up(tmp_path):
    ledger = Ledger(tmp_path)
    with ledger.locked():
        write(tmp_path, "images/old.png", "images/half.png", "images/new.png", "images/mine.png")
        ledger.finish("a", {"n": 1}, ["images/old.png"], {})
        ledger.begin("a", {"n": 2}, ["images/half.png"])  # killed here
        ledger.begin("a", {"n": 3}, ["images/new.png"])
        ledger.finish("a", {"n": 3}, ["images/new.png"], {})
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["mine.png", "new.png"]


def test_tasks_that_are_no_more_take_their_files_along(tmp_path):
    ledger = Ledger(tmp_path)
    with ledger.locked():
        write(tmp_path, "images/a.png", "images/b.png")
        ledger.finish("a", {}, ["images/a.png"], {})
        ledger.finish("b", {}, ["images/b.png"], {})
        ledger.drop_others(["b"])
    assert [p.name for p in (tmp_path / "images").iterdir()] == ["b.png"]
    assert ledger.finished("a", {}) is None
    assert ledger.finished("b", {})


def test_nothing_outside_the_dataset_is_removed(tmp_path):
    write(tmp_path, "precious.txt")
    root = tmp_path / "dataset"
    ledger = Ledger(root)
    with ledger.locked():
        path = root / ".prepared/a.json"
        files = {"../precious.txt": 5}
        path.write_text(json.dumps({"key": {}, "done": True, "files": files, "result": {}}))
        ledger.drop_others([])
    assert (tmp_path / "precious.txt").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    write(tmp_path, "holiday.jpg")
    with pytest.raises(UsageError, match="must be empty or a dataset"), Ledger(tmp_path).locked():
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_unfinished_files_of_a_killed_run_are_swept(tmp_path):
    ledger = Ledger(tmp_path)
    with ledger.locked():
        write(
            tmp_path, "images/.case_a1.0a1b2c3d.part.png", "images/.mine.part.png", "images/a.png"
        )
    with ledger.locked():
        names = sorted(p.name for p in (tmp_path / "images").iterdir())
    assert names == [".mine.part.png", "a.png"]


def _lock_and_report(root, queue):
    try:
        with Ledger(root).locked():
            queue.put("locked")
    except SclcError as error:
        queue.put(str(error))


def test_two_preparations_do_not_share_a_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with Ledger(tmp_path).locked():
        process = context.Process(target=_lock_and_report, args=(tmp_path, queue))
        process.start()
        assert "another preparation is at work" in queue.get(timeout=20)
        process.join()
    process = context.Process(target=_lock_and_report, args=(tmp_path, queue))
    process.start()
    assert queue.get(timeout=20) == "locked"
    process.join()
