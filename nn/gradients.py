"""Gradients as they stand after `backward`: clipped, or measured layer by layer."""

import math
from typing import Any, NamedTuple

from autograd import Value
from nn import checks
from nn.module import Module, check_module


def clip_grad_norm_(parameters: Any, max_norm: float) -> float:
    """Scale all gradients by min(1, max_norm / norm), norm being that of all of them together.

    Pascanu et al., 2013. PyTorch divides by norm + 1e-6, and so stays a little below max_norm.

    Args:
        parameters: an iterable of Parameters, in which lists may nest, such as
            model.parameters().
        max_norm: the largest Euclidean norm allowed.

    Returns:
        The norm before.

    Raises:
        ValueError: if a gradient is inf or nan: no factor would help.
    """
    leaves = checks.leaves("parameters", parameters)
    return clip_by_norm(leaves, checks.real("max_norm", max_norm, at_least=0.0))


def clip_by_norm(leaves: list[Value], max_norm: float) -> float:
    """As `clip_grad_norm_`, given what has been checked."""
    norm = math.hypot(*[parameter.grad for parameter in leaves])
    if not math.isfinite(norm):
        raise ValueError(f"gradients must be finite to be clipped by norm, their norm is {norm}")
    if norm > max_norm:
        factor = max_norm / norm
        for parameter in leaves:
            parameter.grad *= factor
    return norm


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Bring every gradient into [-clip_value, clip_value]; nan stays nan.

    Args:
        parameters: as in `clip_grad_norm_`.
        clip_value: the largest absolute value allowed.
    """
    leaves = checks.leaves("parameters", parameters)
    clip_by_value(leaves, checks.real("clip_value", clip_value, at_least=0.0))


def clip_by_value(leaves: list[Value], largest: float) -> None:
    """As `clip_grad_value_`, given what has been checked."""
    for parameter in leaves:
        parameter.grad = max(min(parameter.grad, largest), -largest)


class GradientStatistics(NamedTuple):
    """The gradients of one layer in numbers."""

    parameters: int
    norm: float
    mean_absolute: float
    largest_absolute: float
    zeros: int


def gradient_statistics(model: Module) -> dict[str, GradientStatistics]:
    """The gradients of each module that has Parameters of its own, by the module's name.

    Numbers that shrink from the last layer to the first show vanishing gradients, numbers that
    grow exploding ones.

    Raises:
        TypeError: if the model is no Module.
    """
    check_module(model)
    layers = {
        name: [abs(parameter.grad) for _, parameter in module.named_parameters(recurse=False)]
        for name, module in model.named_modules()
    }
    return {
        name: GradientStatistics(
            parameters=len(sizes),
            norm=math.hypot(*sizes),
            mean_absolute=sum(sizes) / len(sizes),
            largest_absolute=max(sizes),
            zeros=sizes.count(0.0),
        )
        for name, sizes in layers.items()
        if sizes
    }
