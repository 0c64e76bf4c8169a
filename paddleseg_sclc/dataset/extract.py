"""From a slide and its annotations to patches: which regions, and each one's image and mask."""

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from paddleseg_sclc.annotations.grid import Grid
from paddleseg_sclc.annotations.labels import LabelMap, paper_labels, value_of
from paddleseg_sclc.annotations.model import AnnotationSet
from paddleseg_sclc.annotations.rasterize import rasterize
from paddleseg_sclc.annotations.scanline import Rule
from paddleseg_sclc.dataset.paddleseg_format import IGNORE_INDEX
from paddleseg_sclc.dataset.regions import Bounds, Region, TileLattice, box_region
from paddleseg_sclc.errors import UsageError
from paddleseg_sclc.slides.reader import Slide
from paddleseg_sclc.slides.tissue import find_tissue

TUMOUR = 1
# Label files may give the tumour as the dataset does, or as the paper's masks do.
_TUMOUR_VALUES = (1, 255)
_PADDING_COLOUR = 255
# Masks of this side are enough to see how much of a tile is annotated.
_SURVEY_SIDE = 128


@dataclass(frozen=True)
class CutOptions:
    """How patches are cut.

    Attributes:
        mode: `boxes`, one around each annotation, or `grid`.
        size: side of a patch in pixels.
        border: boxes: level-0 pixels around the annotation.
        keep_aspect: boxes: pad instead of stretching.
        tile_mpp: grid: micrometres a pixel.
        min_annotated: grid: the least part of a tile that must be annotated, 0 to 1.
        free_ratio: grid: tiles of annotation-free tissue for each annotated tile.
        min_tissue: grid: the least part of a free tile that must be tissue.
        rule: of rasterising, `asap` or `centre`.
        seed: of the choice of free tiles.
    """

    mode: Literal["boxes", "grid"] = "boxes"
    size: int = 1024
    border: int = 100
    keep_aspect: bool = False
    tile_mpp: float = 0.5
    min_annotated: float = 0.0
    free_ratio: float = 1.0
    min_tissue: float = 0.5
    rule: Rule = "asap"
    seed: int = 0


class PatchCutter:
    """Cuts the patches of one slide.

    Args:
        slide: open.
        annotations: of the slide, all of them.
        labels: values of groups or names; None for the paper's.
        options: how to cut.
    """

    def __init__(
        self,
        slide: Slide,
        annotations: AnnotationSet,
        labels: LabelMap | None,
        options: CutOptions,
    ) -> None:
        self.slide, self.options = slide, options
        self._all = annotations
        self._labels = labels or paper_labels(annotations)
        # Dots, lines and point sets mark things; only outlines say what the tissue is.
        values = {
            index: value
            for index, annotation in enumerate(annotations)
            if annotation.has_area and (value := value_of(annotations, index, labels)) is not None
        }
        self._drawn = list(values)
        self.tumours = [index for index, value in values.items() if value > 0]
        self._bounds: dict[int, Bounds] = {i: annotations.annotations[i].bounds for i in values}

    def regions(self, where: str) -> tuple[list[Region], list[str]]:
        """The regions to cut, and what is wrong with annotations that make none.

        Args:
            where: names the annotation file in messages, and the slide in the choice of tiles.
        """
        outside = [index for index in self.tumours if not self._lies_on_slide(index)]
        width, height = self.slide.dimensions
        problems = []
        for index in outside:
            x0, y0, x1, y1 = self._bounds[index]
            problems.append(
                f"{where}: {self._all.where(index)}: must lie on the slide ({width} x {height}), "
                f"but spans x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}; is it of another slide?"
            )
        inside = [index for index in self.tumours if index not in set(outside)]
        if self.options.mode == "boxes":
            return [self._box(index) for index in inside], problems
        tiles = self._tiles(inside, where)
        if inside and not tiles:
            problems.append(
                f"{where}: the annotated area must fill at least {self.options.min_annotated:.0%} "
                "of some tile, but fills none; lower --min-annotated or --tile-mpp"
            )
        return tiles, problems

    def cut(self, region: Region) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read a region.

        Returns:
            The image, (size, size, 3) uint8 RGB, white where it is padded, and the mask, (size,
            size) uint8: 1 tumour, 0 all else, 255 (ignored in training) where there is no slide.

        Raises:
            SclcError: the slide is damaged there.
        """
        width, height = region.size
        left, upper, inner_width, inner_height = region.inner
        inside = slice(upper, upper + inner_height), slice(left, left + inner_width)
        image = np.full((height, width, 3), _PADDING_COLOUR, np.uint8)
        image[inside] = self.slide.read_box(
            region.x_l0, region.y_l0, region.width_l0, region.height_l0, region.inner[2:]
        )
        mask = np.full((height, width), IGNORE_INDEX, np.uint8)
        mask[inside] = self._mask(region, (inner_width, inner_height))
        return image, mask

    def annotations_in(self, region: Region) -> list[int]:
        """Indices of the annotations that are drawn and whose bounds reach into a region."""
        x0, y0, x1, y1 = region.bounds
        return [
            index
            for index in self._drawn
            if (bounds := self._bounds[index])[0] <= x1
            and bounds[2] >= x0
            and bounds[1] <= y1
            and bounds[3] >= y0
        ]

    def _mask(self, region: Region, size: tuple[int, int]) -> NDArray[np.uint8]:
        """0 or 1, and 255 beyond the slide, (height, width) uint8 of `size` (width, height)."""
        grid = Grid.of_region(
            region.x_l0, region.y_l0, region.width_l0, region.height_l0, size, anchor=0.5
        )
        chosen = tuple(self._all.annotations[index] for index in self.annotations_in(region))
        drawn = rasterize(
            replace(self._all, annotations=chosen), grid, self._labels, self.options.rule
        )
        mask = np.where(drawn > 0, np.uint8(TUMOUR), np.uint8(0))
        width, height = self.slide.dimensions
        mask[:, grid.x_centres() >= width] = IGNORE_INDEX
        mask[grid.y_centres() >= height] = IGNORE_INDEX
        return mask

    def _lies_on_slide(self, index: int) -> bool:
        x0, y0, x1, y1 = self._bounds[index]
        width, height = self.slide.dimensions
        return x1 >= 0 and y1 >= 0 and x0 < width and y0 < height

    def _box(self, index: int) -> Region:
        options = self.options
        # How much wider than high a level-0 pixel is.
        aspect = self.slide.mpp[0] / self.slide.mpp[1] if options.keep_aspect else None
        return box_region(
            index, self._bounds[index], self.slide.dimensions, options.border, options.size, aspect
        )

    def _tiles(self, annotations: list[int], where: str) -> list[Region]:
        options, mpp = self.options, self.slide.mpp
        downsample = options.tile_mpp / mpp[0], options.tile_mpp / mpp[1]
        lattice = TileLattice(self.slide.dimensions, options.size, downsample)
        annotated, touched = [], set[tuple[int, int]]()
        for place in lattice.touching([self._bounds[index] for index in annotations]):
            region = lattice.region(*place, "tile")
            share = float(np.mean(self._survey(region) == TUMOUR))
            if share > 0:
                touched.add(place)
                if share >= options.min_annotated:
                    annotated.append(region)
        count = round(len(annotated) * options.free_ratio)
        return annotated + self._free_tiles(lattice, touched, count, where)

    def _survey(self, region: Region) -> NDArray[np.uint8]:
        """The mask of a region, small, and without small things lost where it matters."""
        side = min(_SURVEY_SIDE, self.options.size)
        small = self._mask(region, (side, side))
        return small if (small == TUMOUR).any() else self._mask(region, region.size)

    def _free_tiles(
        self, lattice: TileLattice, touched: set[tuple[int, int]], count: int, where: str
    ) -> list[Region]:
        """Tiles of tissue without annotation, drawn by seed and slide."""
        if not count:
            return []
        tissue = find_tissue(self.slide)
        candidates = [
            region
            for row, column in np.ndindex(lattice.rows, lattice.columns)
            if (row, column) not in touched
            and tissue.fraction(
                (region := lattice.region(row, column, "free")).x_l0, region.y_l0,
                region.width_l0, region.height_l0,
            ) >= self.options.min_tissue
        ]  # fmt: skip
        rng = np.random.default_rng([self.options.seed, zlib.crc32(where.encode())])
        chosen = rng.permutation(len(candidates))[:count]
        return [candidates[index] for index in sorted(chosen.tolist())]


def check_labels(labels: LabelMap | None) -> None:
    """Check that a label file knows two classes, as the dataset does.

    Raises:
        UsageError: it gives another value, or no tumour.
    """
    values = set() if labels is None else set(labels.values.values())
    if labels is not None and not (values <= {0, *_TUMOUR_VALUES} and values & {*_TUMOUR_VALUES}):
        raise UsageError(
            f"--labels: values must be 0 (background) and 1 or 255 (tumour), got {sorted(values)}"
        )


def mask_shares(mask: NDArray[np.uint8]) -> tuple[float, float]:
    """Which part of a mask is tumour, of what is not ignored, and which part is ignored."""
    ignored = float(np.mean(mask == IGNORE_INDEX))
    valid = np.count_nonzero(mask != IGNORE_INDEX)
    return np.count_nonzero(mask == TUMOUR) / max(1, valid), ignored
