"""Drawings of computational graphs: graph → DOT → SVG, and the step-by-step player."""

from autograd.draw.drawing import draw_dot, to_svg
from autograd.draw.network import draw_network
from autograd.draw.player import step_through

__all__ = ["draw_dot", "draw_network", "step_through", "to_svg"]
