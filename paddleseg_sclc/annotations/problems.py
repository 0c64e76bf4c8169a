"""What a reader does with what it cannot understand."""

from pathlib import Path

from paddleseg_sclc.annotations.model import Finding, Severity
from paddleseg_sclc.errors import SclcError


class Problems:
    """Gathers findings about a file.

    Args:
        path: the file, for messages.
        lenient: whether to go on after what makes a file ambiguous.
    """

    def __init__(self, path: Path, lenient: bool) -> None:
        self._path, self._lenient = path, lenient
        self._findings: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All so far."""
        return tuple(self._findings)

    def note(self, severity: Severity, code: str, where: str, message: str) -> None:
        """Remember something that leaves no doubt about what is meant."""
        self._findings.append(Finding(severity, code, where, message))

    def fatal(self, code: str, where: str, message: str) -> None:
        """Stop at something that cannot be understood, or remember it if lenient.

        Raises:
            SclcError: unless lenient.
        """
        if not self._lenient:
            raise SclcError(
                f"{self._path}: {where}: {message}; see tools/check_annotations.py --repair"
            )
        self.note("error", code, where, message)
