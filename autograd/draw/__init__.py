"""Drawings of computational graphs: graph → DOT → SVG, and the step-by-step player."""

from autograd.draw.drawing import draw_dot, to_svg
from autograd.draw.player import step_through

__all__ = ["draw_dot", "step_through", "to_svg"]
