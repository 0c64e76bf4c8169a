"""Whether a network was trained on what it is evaluated on: files, copies, patients."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from paddleseg_sclc.dataset.paddleseg_format import Sample
from paddleseg_sclc.report.provenance import Provenance
from paddleseg_sclc.report.similarity import Look, Match, find_matches, look_at

_SHOWN = 5


@dataclass(frozen=True)
class Leaks:
    """What stands on both sides of a run: trained on, and evaluated on.

    Attributes:
        trained: images trained on.
        evaluated: images evaluated on.
        files: evaluated images that were trained on as they are.
        copies: (evaluated, trained): an augmented copy of the same patch, the manifest says.
        similar: (evaluated, trained, kind): found by perceptual hash; None: not looked for.
        patients: patients on both sides; None: patients are not known.
    """

    trained: int
    evaluated: int
    files: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    similar: tuple[tuple[str, str, str], ...] | None = None
    patients: tuple[str, ...] | None = None

    @property
    def any(self) -> bool:
        """Something is on both sides."""
        return bool(self.files or self.copies or self.similar or self.patients)

    def lines(self) -> list[str]:
        """What to tell, a line each."""
        of = f"of {self.evaluated} evaluated images"
        lines = []
        if self.files:
            lines.append(f"{len(self.files)} {of} were trained on: {_some(self.files)}")
        if self.copies:
            names = sorted({evaluated for evaluated, _ in self.copies})
            lines.append(
                f"of {len(names)} {of} another copy (or the original) was trained on, the manifest "
                f"says: {_some(names)}"
            )
        for kind, what in (
            ("same", "look the same as one trained on, but for size, mirroring or right angles"),
            ("overlapping", "show partly the same tissue as one trained on, shifted or rotated"),
        ):
            pairs = [(a, b) for a, b, k in self.similar or () if k == kind]
            names = sorted({a for a, _ in pairs})
            if names:
                example = "{} and {}".format(*(Path(name).name for name in pairs[0]))
                lines.append(f"{len(names)} {of} {what} (for example {example})")
        if self.patients:
            lines.append(f"{len(self.patients)} patients are on both sides: {_some(self.patients)}")
        if lines:
            lines.append("so these figures are too good; those on new patients will be worse")
        return lines

    def scope(self) -> str:
        """What was looked at, and for what."""
        checked = ["same files"]
        checked += ["patients"] if self.patients is not None else ["patients (not known)"]
        checked += ["look-alikes by perceptual hash"] if self.similar is not None else []
        return (
            f"{self.trained} images trained on, {self.evaluated} evaluated; "
            f"looked for {', '.join(checked)}"
        )

    def summary(self) -> str:
        """One line on what was looked for and found."""
        found = "; ".join(self.lines()) if self.any else "nothing is on both sides"
        return f"{self.scope()}: {found}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(Path(name).name for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


class LeakCheck:
    """Checks several runs; images of the same data are looked at once.

    Args:
        perceptual: look for images that look alike, which reads them all.
    """

    def __init__(self, perceptual: bool = True) -> None:
        self._perceptual = perceptual
        self._looks: dict[Path, Look] = {}
        self._found: dict[tuple[tuple[Path, ...], tuple[Path, ...]], list[Match]] = {}

    def check(
        self,
        trained: Sequence[Sample],
        evaluated: Sequence[Sample],
        trained_provenance: Provenance,
        evaluated_provenance: Provenance,
    ) -> Leaks:
        """Look for what is on both sides.

        Raises:
            SclcError: an image cannot be read.
        """
        ours, theirs = [s.image.resolve() for s in evaluated], [s.image.resolve() for s in trained]
        known = set(theirs)
        files = tuple(str(path) for path in ours if path in known)
        same_dataset = trained_provenance is evaluated_provenance
        return Leaks(
            len(theirs),
            len(ours),
            files,
            _copies(ours, theirs, evaluated_provenance) if same_dataset else (),
            self._similar(ours, theirs) if self._perceptual else None,
            _patients(ours, theirs, evaluated_provenance, trained_provenance),
        )

    def _similar(
        self, ours: Sequence[Path], theirs: Sequence[Path]
    ) -> tuple[tuple[str, str, str], ...]:
        key = (tuple(ours), tuple(theirs))
        if key not in self._found:
            missing = [p for p in dict.fromkeys((*ours, *theirs)) if p not in self._looks]
            with ThreadPoolExecutor() as pool:
                self._looks.update(zip(missing, pool.map(look_at, missing), strict=True))
            self._found[key] = find_matches(
                [self._looks[p] for p in ours], [self._looks[p] for p in theirs]
            )
        return tuple(
            (str(ours[m.first]), str(theirs[m.second]), m.kind)
            for m in self._found[key]
            if ours[m.first] != theirs[m.second]
        )


def _copies(
    ours: Sequence[Path], theirs: Sequence[Path], provenance: Provenance
) -> tuple[tuple[str, str], ...]:
    by_original: dict[str, list[Path]] = {}
    for path in theirs:
        original = provenance.of(path).original
        if original is not None:
            by_original.setdefault(original, []).append(path)
    return tuple(
        (str(path), str(other))
        for path in ours
        for other in by_original.get(provenance.of(path).original or "", ())
        if other != path
    )


def _patients(
    ours: Sequence[Path], theirs: Sequence[Path], here: Provenance, there: Provenance
) -> tuple[str, ...] | None:
    evaluated = {here.of(path).patient for path in ours}
    trained = {there.of(path).patient for path in theirs}
    if None in evaluated or None in trained:
        return None
    return tuple(sorted(str(patient) for patient in evaluated & trained))
