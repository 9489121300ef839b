"""The torch build that is simulated: a CUDA 13.0 wheel."""

__version__ = "2.11.0+cu130"
cuda = "13.0"
