"""What made a dataset: the versions that its pixels depend on."""

from importlib import metadata

import paddleseg_sclc
from paddleseg_sclc.slides.reader import OPENSLIDE_VERSION

_PACKAGES = ("numpy", "opencv-python", "opencv-python-headless", "pillow", "imagecodecs")


def versions() -> dict[str, str]:
    """Name -> version."""
    found = {"paddleseg_sclc": paddleseg_sclc.__version__, "openslide": OPENSLIDE_VERSION}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
