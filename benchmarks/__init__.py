"""Speed and memory, ours beside the peers in one run, as ratios: `python -m benchmarks NAME`."""
