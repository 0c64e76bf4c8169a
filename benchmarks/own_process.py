"""Cases of a benchmark that need a process of their own: a peak of memory, a count of threads."""

import json
import subprocess
import sys
from typing import Any

_MARK = "ANSWER"


def answer(value: Any) -> None:
    """Print what a case found, as JSON, for the process that asked."""
    print(_MARK, json.dumps(value))


def ask(script: str, *arguments: str) -> tuple[Any, str]:
    """Run a script and return what it answered; None and the last line of its errors if nothing."""
    command = [sys.executable, "-W", "ignore", script, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = result.stderr.strip().splitlines() or ["no output"]
    if result.returncode or _MARK not in result.stdout:
        return None, lines[-1]
    return json.loads(result.stdout.rsplit(_MARK, 1)[1]), ""
