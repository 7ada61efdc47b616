"""The front door: learning without end-to-end backpropagation."""

from nn.alternatives.alignment import DirectFeedbackAlignment, FeedbackAlignment
from nn.alternatives.bottleneck import HSICBottleneck, SigmaCombined, hsic, normalized_hsic
from nn.alternatives.evolution import EvolutionStrategy, evolution_gradient
from nn.alternatives.hebbian import HebbianNeuron
from nn.alternatives.infomax import GreedyInfoMax, InfoNCE
from nn.alternatives.redunet import ReduLayer, ReduNet, coding_rate, rate_reduction
from nn.alternatives.tangent_kernel import TangentKernelRegression, neural_tangent_kernel
from nn.alternatives.target_propagation import DifferenceTargetPropagation

__all__ = [
    "DifferenceTargetPropagation",
    "DirectFeedbackAlignment",
    "EvolutionStrategy",
    "FeedbackAlignment",
    "GreedyInfoMax",
    "HSICBottleneck",
    "HebbianNeuron",
    "InfoNCE",
    "ReduLayer",
    "ReduNet",
    "SigmaCombined",
    "TangentKernelRegression",
    "coding_rate",
    "evolution_gradient",
    "hsic",
    "neural_tangent_kernel",
    "normalized_hsic",
    "rate_reduction",
]
