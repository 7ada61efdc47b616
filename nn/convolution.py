"""Convolution and pooling: layers that take an image, [channel][row][column], and return one."""

import math
from collections.abc import Callable
from typing import Any

from autograd import Value, dot, maxout, mean
from nn import checks, init
from nn.init import Generator
from nn.module import Module, Parameter

Pair = int | tuple[int, int]
"""One number for rows and columns, or one for each."""


class Conv2d(Module):
    """Slides kernels over an image: each output is a kernel's products with what it covers, summed.

    This is cross-correlation, which networks call convolution: Y[f] = Σ_c X[c] ⋆ K[f][c] + b[f].
    Hence, by the chain rule, dK[f][c] = X[c] ⋆ dY[f]; dX[c] = Σ_f of the full cross-correlation of
    dY[f] with K[f][c] rotated by 180 degrees; db[f] = Σ dY[f].

    Args:
        in_channels: how many channels the image has.
        out_channels: how many kernels there are, each giving one channel.
        kernel_size: how many rows and columns a kernel covers.
        stride: how far it moves from one output to the next, downwards and to the right.
        padding: how many rows and columns of zeros are put around the image, on either side.
        bias: whether each kernel has a bias.
        generator: draws the first weights, between ±1/√fan_in as PyTorch does; see `init`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.in_channels = checks.whole("in_channels", in_channels, at_least=1)
        self.out_channels = checks.whole("out_channels", out_channels, at_least=1)
        self.kernel_size = _pair("kernel_size", kernel_size, at_least=1)
        self.stride = _pair("stride", stride, at_least=1)
        self.padding = _pair("padding", padding, at_least=0)
        height, width = self.kernel_size
        self.weight = [
            [[[Parameter(0.0) for _ in range(width)] for _ in range(height)] for _ in range(inputs)]
            for inputs in [self.in_channels] * self.out_channels
        ]
        self.bias = (
            [Parameter(0.0) for _ in range(out_channels)] if checks.flag("bias", bias) else None
        )
        bound = 1.0 / math.sqrt(in_channels * height * width)
        init.uniform_(list(self.parameters()), generator, -bound, bound)

    def forward(self, inputs: Any) -> list[list[list[Value]]]:
        """The image that the kernels make of an image.

        Raises:
            TypeError: if the inputs are no image, [channel][row][column].
            ValueError: if it has another number of channels, or is smaller than a kernel.
        """
        image = _image(inputs, self)
        if len(image) != self.in_channels:
            raise ValueError(
                f"inputs must have {self.in_channels} channels for {self!r}, received {len(image)}"
            )
        padded = [_padded(channel, self.padding) for channel in image]
        windows = _windows(padded, self.kernel_size, self.stride, self)
        kernels = [
            [w for channel in kernel for row in channel for w in row] for kernel in self.weight
        ]
        biases = [None] * self.out_channels if self.bias is None else self.bias
        return [
            [[dot(kernel, window, bias) for window in row] for row in windows]
            for kernel, bias in zip(kernels, biases, strict=True)
        ]

    def extra_repr(self) -> str:
        """The channels, and how the kernels move."""
        return (
            f"in_channels={self.in_channels}, out_channels={self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"bias={self.bias is not None}"
        )


class _Pool2d(Module):
    """Makes one number of each window of a channel.

    Args:
        kernel_size: how many rows and columns a window covers.
        stride: how far it moves; without it by its own size, so that windows do not overlap.
    """

    pool: Callable[[list[Any]], Any]

    def __init__(self, kernel_size: Pair, stride: Pair | None = None) -> None:
        self.kernel_size = _pair("kernel_size", kernel_size, at_least=1)
        self.stride = self.kernel_size if stride is None else _pair("stride", stride, at_least=1)

    def forward(self, inputs: Any) -> list[list[list[Any]]]:
        """The smaller image; rows and columns left over at its end are dropped.

        Raises:
            TypeError: if the inputs are no image, [channel][row][column].
            ValueError: if it is smaller than a window.
        """
        return [
            [
                [self.pool(window) for window in row]
                for row in _windows([channel], self.kernel_size, self.stride, self)
            ]
            for channel in _image(inputs, self)
        ]

    def extra_repr(self) -> str:
        """The size of a window, and how it moves."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class MaxPool2d(_Pool2d):
    """The largest number of each window: its gradient goes there, and nowhere else.

    A tie halves the gradient, as `maximum` does; PyTorch gives all of it to the first.
    """

    pool = staticmethod(maxout)


class AvgPool2d(_Pool2d):
    """The mean of each window: its gradient is shared equally."""

    pool = staticmethod(mean)


class Flatten(Module):
    """An image as one list, channel by channel and row by row: what `Linear` takes."""

    def forward(self, inputs: Any) -> list[Any]:
        """The numbers of the image.

        Raises:
            TypeError: if the inputs are no image, [channel][row][column].
        """
        return [x for channel in _image(inputs, self) for row in channel for x in row]


def _pair(name: str, x: Any, at_least: int) -> tuple[int, int]:
    """Rows and columns: of one number twice the same."""
    rows, columns = x if checks.is_list(x) and len(x) == 2 else (x, x)
    return checks.whole(name, rows, at_least), checks.whole(name, columns, at_least)


def _image(inputs: Any, owner: Module) -> Any:
    """The inputs, an image: three levels of lists, all channels and all rows of one size.

    Raises:
        TypeError: if there are more or fewer levels.
        ValueError: if sizes differ, or one is 0.
    """
    image = inputs.tolist() if hasattr(inputs, "tolist") else inputs
    if (levels := _levels(image)) != 3:
        remedy = {
            2: ": write [image] for a single channel",
            4: ": write [model(x) for x in samples] for a batch",
        }
        raise TypeError(
            f"inputs must be one image, a list [channel][row][column], for {owner!r}, "
            f"received {levels} levels of lists{remedy.get(levels, '')}"
        )
    channels = {_length(channel) for channel in image}
    rows = {_length(row) for channel in image if _length(channel) for row in channel}
    if len(channels) != 1 or len(rows) != 1 or 0 in rows:
        raise ValueError(
            f"inputs must be an image of equal channels and equal rows for {owner!r}, "
            f"received channels of {sorted(channels)} rows and rows of {sorted(rows)} numbers"
        )
    return image


def _length(x: Any) -> int:
    return len(x) if checks.is_list(x) else 0


def _levels(tree: Any) -> int:
    """How deep lists nest, as far as the first of each shows."""
    levels = 0
    while checks.is_list(tree):
        levels += 1
        tree = tree[0] if len(tree) else None
    return levels


def _padded(channel: list[list[Any]], padding: tuple[int, int]) -> list[list[Any]]:
    """The channel with zeros around it."""
    rows, columns = padding
    sides = [0.0] * columns
    empty = [[0.0] * (len(channel[0]) + 2 * columns)] * rows
    return [*empty, *([*sides, *row, *sides] for row in channel), *empty]


def _windows(
    channels: list[list[list[Any]]], size: tuple[int, int], stride: tuple[int, int], owner: Module
) -> list[list[list[Any]]]:
    """What a window of that size covers at each place, [row][column], channel by channel.

    Raises:
        ValueError: if the window is larger than the channels.
    """
    (height, width), (down, right) = size, stride
    rows, columns = len(channels[0]), len(channels[0][0])
    if height > rows or width > columns:
        raise ValueError(
            f"inputs must have at least {height} rows and {width} columns, padding included, "
            f"for {owner!r}, received {rows} rows and {columns} columns"
        )
    return [
        [
            [
                x
                for channel in channels
                for row in channel[top : top + height]
                for x in row[left : left + width]
            ]
            for left in range(0, columns - width + 1, right)
        ]
        for top in range(0, rows - height + 1, down)
    ]
