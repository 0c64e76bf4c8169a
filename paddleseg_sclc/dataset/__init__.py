"""From slides or patches to a PaddleSeg dataset."""
