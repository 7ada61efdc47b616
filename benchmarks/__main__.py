"""The command `python -m benchmarks NAME`."""

import argparse

from benchmarks import compile, draw, eager, gpt, nn

SUITES = {
    "compile": compile.main,
    "draw": draw.main,
    "eager": eager.main,
    "gpt": gpt.main,
    "nn": nn.main,
}


def main() -> None:
    """Run one suite and print its tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=SUITES, help="which suite to run")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    arguments = parser.parse_args()
    SUITES[arguments.name](arguments.rounds)


if __name__ == "__main__":
    main()
