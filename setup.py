"""Packaging of paddleseg_sclc: `pip install .[cpu]` (or `.[gpu]`).

The bounds here are those that make a plain `pip install` resolve to a set that works;
constraints.txt holds the exact set that the tests run with, and the reason for each pin.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (HERE / "paddleseg_sclc" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
).group(1)

# PaddleSeg 2.8.0 pins opencv-python <= 4.6.0, whose wheels were built for numpy 1:
# everything that is compiled against numpy has to be a version that still accepts numpy 1.
INSTALL_REQUIRES = [
    "paddleseg==2.8.0",
    "numpy>=1.23,<2",
    "scipy>=1.9,<1.14",
    "pandas<2.3",
    "scikit-learn<1.6",
    "scikit-image>=0.20,<0.25",
    "matplotlib<3.10",
    # The report is a template; the tables in text are prettytable's.
    "jinja2>=3",
    "prettytable>=3.12",
    "pillow>=10.2,<11",
    "protobuf>=3.20.2,<=3.20.3",
    "PyYAML>=6",
    "lxml>=5",
    "openslide-python>=1.4",
    "openslide-bin>=4.0.0.6",
    "tifffile>=2024.1,<=2024.12.12",
    "imagecodecs>=2024.1,<=2024.12.30",
    "tqdm",
    # visualdl 2.5 and PaddleSeg import pkg_resources, which setuptools 81 removed.
    "setuptools<81",
]

setup(
    name="paddleseg_sclc",
    version=VERSION,
    description="Small cell lung cancer segmentation on H&E slides, a PaddleSeg plugin",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["paddleseg_sclc", "paddleseg_sclc.*"]),
    package_data={"paddleseg_sclc": ["py.typed", "**/*.json", "**/*.html"]},
    install_requires=INSTALL_REQUIRES,
    extras_require={
        "cpu": ["paddlepaddle>=2.6.2,<3.4"],
        "gpu": ["paddlepaddle-gpu>=2.6.2"],
        "test": ["pytest>=8", "hypothesis>=6"],
        "dev": ["ruff>=0.8", "mypy>=1.13", "lxml-stubs", "types-PyYAML", "types-tqdm"],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
