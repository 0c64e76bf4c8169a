"""Small cell lung cancer segmentation on H&E slides, on PaddleSeg.

Importing the package is light: neither Paddle nor OpenSlide is loaded.
`import paddleseg_sclc.plugin` registers the network, the loss and the transforms.
"""

__version__ = "0.1.0"
