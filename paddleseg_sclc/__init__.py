"""Small cell lung cancer segmentation on H&E slides, on PaddleSeg.

Importing the package is light: neither Paddle nor OpenSlide is loaded.
`import paddleseg_sclc.plugin` registers the network, the loss and the transforms.
"""

import warnings

# What Paddle and visualdl say about themselves, to those who can do nothing about it. Set here, as
# the first of them speaks while Paddle is imported.
warnings.filterwarnings("ignore", message="No ccache found")
warnings.filterwarnings("ignore", message="When training, we now always track global mean")
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

__version__ = "0.1.0"
