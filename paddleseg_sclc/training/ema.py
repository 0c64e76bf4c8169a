"""An exponential moving average of the weights, which validates better than the last ones."""

import copy

import paddle
from paddle import nn


class WeightAverage:
    """Moving average of a network's weights and batch norm statistics.

    Early on the average follows quickly (Tarvainen and Valpola 2017): after t updates it keeps
    min(decay, (1 + t) / (10 + t)).

    Args:
        model: the network that learns.
        decay: share of the average that an update keeps, in (0, 1).

    Attributes:
        model: a network with the averaged weights, in evaluation mode.
    """

    def __init__(self, model: nn.Layer, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model)
        self.model.eval()
        for parameter in self.model.parameters():
            parameter.stop_gradient = True
        self._pairs = list(
            zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        )

    def update(self, iteration: int) -> None:
        """Take the network's weights into the average, after update number `iteration`."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        with paddle.no_grad():
            for mean, value in self._pairs:
                if mean.dtype in (paddle.float32, paddle.float64):
                    mean.scale_(decay)
                    mean.add_(value.astype(mean.dtype) * (1 - decay))
                else:
                    paddle.assign(value, output=mean)
