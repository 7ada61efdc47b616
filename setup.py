"""The optional native build: kernels from the table, then the extension."""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
NATIVE = "autograd/_native"
FLAGS = ["-O3", "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno", "-Wall", "-Wextra"]


class BuildNative(build_ext):
    """Generates the kernels, then compiles; without a compiler the pure engine serves."""

    def build_extension(self, ext: Extension) -> None:
        """Build the one extension there is."""
        sys.path.insert(0, str(ROOT / NATIVE))
        import generate

        generated = Path(self.build_temp) / "kernels"
        generate.write_kernels(ROOT / "autograd/ops.py", generated / "kernels.h")
        ext.include_dirs.append(str(generated))
        if self.compiler.compiler_type != "msvc":
            ext.extra_compile_args += FLAGS
        super().build_extension(ext)


required = os.environ.get("AUTOGRAD_REQUIRE_NATIVE") == "1"
setup(
    ext_modules=[
        Extension(
            "autograd._native.engine",
            [f"{NATIVE}/engine.c"],
            depends=[
                *(f"{NATIVE}/{part}.h" for part in ("node", "recording", "sweep", "type")),
                f"{NATIVE}/generate.py",
                "autograd/ops.py",
            ],
            optional=not required,
        )
    ],
    cmdclass={"build_ext": BuildNative},
)
