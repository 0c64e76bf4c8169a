"""Demo slides: NDPI files with ASAP XML beside them, one slide a patient."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from paddleseg_sclc.annotations.asap import write_asap
from paddleseg_sclc.annotations.labels import PAPER_GROUP, PAPER_VALUE
from paddleseg_sclc.annotations.model import AnnotationSet
from paddleseg_sclc.demo.ndpi import ScanInfo, write_ndpi
from paddleseg_sclc.demo.scene import Scene
from paddleseg_sclc.demo.slide_layout import HOLE_GROUP, annotate, plan_tumours, slide_layout
from paddleseg_sclc.demo.stain import random_stain
from paddleseg_sclc.files import atomic_path

# The paper: 31 patients, 134 annotations.
PAPER_SLIDES, PAPER_ANNOTATIONS = 31, 134
_TILE = 512
_MACRO_MPP = 60.0
_MACRO_SIZE = (416, 1248)


@dataclass(frozen=True)
class SlidePlan:
    """Which slides to draw.

    Attributes:
        slides: how many.
        width: of level 0 in pixels, a multiple of 64.
        height: of level 0 in pixels, a multiple of 64.
        mpp: micrometres a pixel at level 0. 0.92 is a scan at 10x: half of the paper's 20x, a
            quarter of the pixels.
        seed: the same seed gives the same bytes.
    """

    slides: int = 12
    width: int = 4096
    height: int = 3072
    mpp: float = 0.92
    seed: int = 0


@dataclass(frozen=True)
class SlideTask:
    """One slide to write, for a process of its own."""

    plan: SlidePlan
    index: int
    folder: Path


@dataclass(frozen=True)
class WrittenSlide:
    """What became of a SlideTask.

    Attributes:
        path: of the slide.
        tumours: annotations of tumour.
        holes: annotations of the hole group.
    """

    path: Path
    tumours: int
    holes: int


def tumour_count(index: int) -> int:
    """Tumours of slide `index`: 4 or 5, 134 on the first 31 slides."""
    before, after = (n * PAPER_ANNOTATIONS // PAPER_SLIDES for n in (index, index + 1))
    return after - before


def slide_scene(plan: SlidePlan, index: int) -> tuple[Scene, AnnotationSet]:
    """The scene of a slide and its annotations; every fourth slide shows every kind of them."""
    stain = random_stain(np.random.Generator(np.random.PCG64([plan.seed, 1, index])))
    rng = np.random.Generator(np.random.PCG64([plan.seed, 2, index]))
    tumours = plan_tumours(rng, tumour_count(index), everything=index % 4 == 0)
    width, height = plan.width * plan.mpp, plan.height * plan.mpp
    layout, outlined = slide_layout(rng, width, height, tumours)
    annotations = annotate(rng, outlined, plan.mpp)
    return Scene(layout, stain, int(rng.integers(2**31))), annotations


def write_slide(task: SlideTask) -> WrittenSlide:
    """Write `patientNN.ndpi` and `patientNN.xml`.

    Raises:
        SclcError: the folder cannot be written to.
    """
    plan = task.plan
    scene, annotations = slide_scene(plan, task.index)
    name = f"patient{task.index + 1:02d}"
    image = draw_slide(scene, plan)
    scan = ScanInfo(plan.mpp, lens=round(9.2 / plan.mpp, 2), reference=name)
    path = task.folder / f"{name}.ndpi"
    write_ndpi(path, image, macro_image(image, plan.mpp), _MACRO_MPP, scan)
    write_asap(path.with_suffix(".xml"), annotations)
    holes = sum(annotation.group == HOLE_GROUP for annotation in annotations)
    return WrittenSlide(path, len(annotations) - holes, holes)


def draw_slide(scene: Scene, plan: SlidePlan) -> NDArray[np.uint8]:
    """Level 0 of a slide, (height, width, 3) uint8 RGB, drawn tile by tile."""
    image = np.empty((plan.height, plan.width, 3), np.uint8)
    for y in range(0, plan.height, _TILE):
        for x in range(0, plan.width, _TILE):
            tile = image[y : y + _TILE, x : x + _TILE]
            tile[...] = scene.render(x, y, tile.shape[1], tile.shape[0], plan.mpp)
    return image


def macro_image(image: NDArray[np.uint8], mpp: float) -> NDArray[np.uint8]:
    """A photograph of the glass, 75 x 25 mm, with a paper label and the section in its middle."""
    macro = np.full((*_MACRO_SIZE, 3), (222, 224, 226), np.uint8)
    macro[16:-16, 16:330] = (247, 246, 240)
    macro[:, 360:362] = macro[:4] = macro[-4:] = (190, 193, 196)
    size = [max(1, round(side * mpp / _MACRO_MPP)) for side in image.shape[1::-1]]
    section = Image.fromarray(image).resize((size[0], size[1]), Image.Resampling.BOX)
    top, left = (macro.shape[0] - size[1]) // 2, 804 - size[0] // 2
    if top >= 0:
        glass = macro[top : top + size[1], left : left + size[0]]
        np.minimum(glass, np.asarray(section), out=glass)
    return macro


def write_labels(folder: Path) -> Path:
    """Write `labels.yml`: tumour is 255, and holes, drawn over it, are 0."""
    path = folder / "labels.yml"
    labels = {PAPER_GROUP: PAPER_VALUE, HOLE_GROUP: 0}
    content = {"labels": labels, "order": [PAPER_GROUP, HOLE_GROUP]}
    with atomic_path(path) as part:
        part.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
