"""One slide's share of a preparation: read, cut, normalise, write. Runs in a process of its own."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc import __version__
from paddleseg_sclc.annotations.formats import read_annotations
from paddleseg_sclc.annotations.labels import LabelMap
from paddleseg_sclc.annotations.model import AREA_KINDS, AnnotationSet
from paddleseg_sclc.annotations.ndpa import SlideFrame
from paddleseg_sclc.dataset.extract import CutOptions, PatchCutter, mask_shares
from paddleseg_sclc.dataset.ledger import Ledger, Record, fingerprint
from paddleseg_sclc.dataset.manifest import PatchRow, sha256_of
from paddleseg_sclc.dataset.paddleseg_format import IMAGES, MASKS, write_sample
from paddleseg_sclc.dataset.preview import draw_thumb, shown_patches, write_sheet
from paddleseg_sclc.dataset.regions import Region
from paddleseg_sclc.dataset.sources import SlideSource
from paddleseg_sclc.dataset.stain_task import StainPlan
from paddleseg_sclc.errors import SclcError
from paddleseg_sclc.slides.reader import OPENSLIDE_VERSION, Slide, open_slide
from paddleseg_sclc.stain import Outcome, StainNormalizer

PREVIEWS = "previews"
# What the manifest says of a patch's colours.
_OUTCOMES = {
    Outcome.OWN_FIT: "patch",
    Outcome.GIVEN_FIT: "slide",
    Outcome.UNCHANGED: "kept",
}


@dataclass(frozen=True)
class SlideTask:
    """What to do with one slide.

    Attributes:
        source: the slide and its annotation.
        output: the dataset folder.
        cut: how patches are cut.
        labels: values of annotation groups or names; None for the paper's.
        mpp: micrometres a level-0 pixel in place of what the slide says.
        stain: how colours are normalised; None for not at all.
        dry_run: plan only; nothing is written.
    """

    source: SlideSource
    output: Path
    cut: CutOptions
    labels: LabelMap | None = None
    mpp: float | None = None
    stain: StainPlan | None = None
    dry_run: bool = False

    @property
    def name(self) -> str:
        """Of the task in the ledger."""
        return f"slide {self.source.name}"

    def key(self) -> dict[str, Any]:
        """All that the patches depend on."""
        labels = None
        if self.labels is not None:
            labels = {"values": dict(self.labels.values), "order": list(self.labels.order)}
        return {
            "slide": fingerprint(self.source.path),
            "annotation": self.source.annotation.name,
            "annotation_sha256": sha256_of(self.source.annotation),
            "patient": self.source.patient,
            "cut": asdict(self.cut),
            "labels": labels,
            "mpp": self.mpp,
            "stain": None if self.stain is None else asdict(self.stain),
            "versions": {"paddleseg_sclc": __version__, "openslide": OPENSLIDE_VERSION},
        }


@dataclass(frozen=True)
class SlideResult:
    """What became of one slide.

    Attributes:
        info: of the slide, JSON values, for dataset.json.
        rows: of its patches, originals only.
        problems: what is wrong with some of its annotations or regions, a line each.
        notes: what its user should know, a line each.
        annotations: outlines that count as tumour.
        planned: patches to cut.
        reused: whether all of it was there already.
    """

    info: Mapping[str, Any]
    rows: tuple[PatchRow, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    annotations: int
    planned: int
    reused: bool = False


def prepare_slide(task: SlideTask) -> SlideResult:
    """Make the patches of one slide, or find that they are there.

    Raises:
        SclcError: the slide or its annotation cannot be used at all, or the disk is full.
    """
    ledger = Ledger(task.output)
    key = task.key()
    record = ledger.finished(task.name, key)
    if record is not None:
        return _result_of(record)
    source = task.source
    with open_slide(source.path, task.mpp) as slide:
        slide.mpp  # noqa: B018 - a slide without scale fails here, before any work
        annotations = read_annotations(source.annotation, frame_of(slide))
        cutter = PatchCutter(slide, annotations, task.labels, task.cut)
        _check_annotations(source, annotations, cutter)
        regions, problems = cutter.regions(str(source.annotation))
        problems = _unusable(source, annotations) + problems
        notes = [f"{source.annotation}: {finding}" for finding in annotations.findings]
        if task.dry_run:
            return SlideResult(
                {}, (), tuple(problems), tuple(notes), len(cutter.tumours), len(regions)
            )
        names = [region.name(source.name) for region in regions]
        preview = f"{PREVIEWS}/{source.name}.png"
        ledger.begin(task.name, key, [*_files_of(names), preview])
        writer = _PatchWriter(task, slide, annotations, cutter)
        shown = set(shown_patches(len(regions)))
        for index, (region, name) in enumerate(zip(regions, names, strict=True)):
            writer.write(region, name, with_thumb=index in shown)
        files = list(_files_of([row.name for row in writer.rows]))
        if writer.thumbs:
            write_sheet(task.output / preview, writer.thumbs)
            files.append(preview)
        result = {
            "info": _describe(task, slide),
            "rows": [asdict(row) for row in writer.rows],
            "problems": problems + writer.problems,
            "notes": notes,
            "annotations": len(cutter.tumours),
            "planned": len(regions),
        }
    return _result_of(ledger.finish(task.name, key, files, result), reused=False)


def frame_of(slide: Slide) -> SlideFrame | None:
    """Where a scan lies on its glass, which NDPA counts from; None if the slide does not say."""
    offset = slide.offset_from_slide_centre_nm
    if offset is None or not slide.has_mpp:
        return None
    return SlideFrame(*slide.dimensions, *slide.mpp, *offset)


class _PatchWriter:
    """Writes patches and remembers what the manifest and the preview say of them."""

    def __init__(
        self, task: SlideTask, slide: Slide, annotations: AnnotationSet, cutter: PatchCutter
    ) -> None:
        self._task, self._slide = task, slide
        self._annotations, self._cutter = annotations, cutter
        if task.stain is not None:
            self._normalizer = StainNormalizer.from_dict(dict(task.stain.normalizer))
        self.rows: list[PatchRow] = []
        self.problems: list[str] = []
        self.thumbs: list[NDArray[np.uint8]] = []

    def write(self, region: Region, name: str, with_thumb: bool) -> None:
        """Cut and write one patch; a region that cannot be read becomes a problem."""
        try:
            image, mask = self._cutter.cut(region)
        except SclcError as error:
            self.problems.append(str(error))
            return
        stain = self._normalize(image, region)
        sample = write_sample(self._task.output, name, image, mask)
        row = self._row(
            region, name, mask, stain, (sha256_of(sample.image), sha256_of(sample.mask))
        )
        self.rows.append(row)
        if with_thumb:
            self.thumbs.append(draw_thumb(image, mask, _caption(row)))

    def _normalize(self, image: NDArray[np.uint8], region: Region) -> str:
        """Normalise the part of a patch that shows the slide, in place; returns how."""
        if self._task.stain is None:
            return "none"
        left, upper, width, height = region.inner
        part = image[upper : upper + height, left : left + width]
        by, per_patch = self._normalizer, self._task.stain.per_patch
        normalize = by.transform_by_own_fit if per_patch else by.transform_by_given_fit
        part[:], outcome = normalize(part)
        return _OUTCOMES[outcome]

    def _row(
        self,
        region: Region,
        name: str,
        mask: NDArray[np.uint8],
        stain: str,
        checksums: tuple[str, str],
    ) -> PatchRow:
        index = region.annotation
        main = None if index is None else self._annotations.annotations[index]
        also = [i for i in self._cutter.annotations_in(region) if i != index]
        (mpp_x, mpp_y), downsample = self._slide.mpp, region.downsample
        tumour, ignored = mask_shares(mask)
        return PatchRow(
            name=name,
            slide=self._task.source.name,
            patient=self._task.source.patient,
            origin=region.origin,
            annotation=index,
            annotation_name="" if main is None else main.name,
            annotation_group=(main.group or "") if main is not None else "",
            also_shown=" ".join(map(str, also)),
            x_l0=float(region.x_l0),
            y_l0=float(region.y_l0),
            width_l0=float(region.width_l0),
            height_l0=float(region.height_l0),
            mpp_x=mpp_x * downsample[0],
            mpp_y=mpp_y * downsample[1],
            tumour_share=tumour,
            ignored_share=ignored,
            stain=stain,
            variant="",
            variant_of="",
            image_sha256=checksums[0],
            mask_sha256=checksums[1],
        )


def _caption(row: PatchRow) -> str:
    what = row.origin if row.annotation is None else f"a{row.annotation}"
    mpp = " x ".join(dict.fromkeys((f"{row.mpp_x:.2f}", f"{row.mpp_y:.2f}")))
    return f"{what} x{row.x_l0:.0f} y{row.y_l0:.0f} {mpp} um {row.tumour_share:.0%}"


def _check_annotations(
    source: SlideSource, annotations: AnnotationSet, cutter: PatchCutter
) -> None:
    where = source.annotation
    if not len(annotations):
        raise SclcError(
            f"{where}: must hold annotations, but its list is empty; annotate the slide"
        )
    if not cutter.tumours:
        groups = ", ".join(annotations.group_names) or "none"
        raise SclcError(
            f"{where}: must outline tumour, but none of its {len(annotations)} annotations has a "
            f"tumour label (its groups: {groups}); pass --labels, or annotate the slide"
        )


def _unusable(source: SlideSource, annotations: AnnotationSet) -> list[str]:
    """A line for each outline that encloses nothing."""
    return [
        f"{source.annotation}: {annotations.where(index)}: an outline needs at least 3 points, got "
        f"{len(annotation.points)}; fix it or run tools/check_annotations.py --repair"
        for index, annotation in enumerate(annotations)
        if annotation.kind in AREA_KINDS and len(annotation.points) < 3
    ]


def _describe(task: SlideTask, slide: Slide) -> dict[str, Any]:
    source = task.source
    return {
        "name": source.name,
        "patient": source.patient,
        "file": source.path.name,
        "sha256": sha256_of(source.path),
        "annotation": source.annotation.name,
        "annotation_sha256": sha256_of(source.annotation),
        "vendor": slide.vendor,
        "width": slide.dimensions[0],
        "height": slide.dimensions[1],
        "mpp": list(slide.mpp),
        "stain_fit": None if task.stain is None else task.stain.normalizer["source"],
    }


def _files_of(names: list[str]) -> list[str]:
    return [f"{folder}/{name}.png" for name in names for folder in (IMAGES, MASKS)]


def _result_of(record: Record, reused: bool = True) -> SlideResult:
    content = record.result
    return SlideResult(
        info=content["info"],
        rows=tuple(PatchRow(**row) for row in content["rows"]),
        problems=tuple(content["problems"]),
        notes=tuple(content["notes"]),
        annotations=content["annotations"],
        planned=content["planned"],
        reused=reused,
    )
