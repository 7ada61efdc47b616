"""The optional native build: kernels from the table, then the engine and compiled programs."""

import os
import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

ROOT = Path(__file__).parent
NATIVE = "autograd/_native"
FLAGS = ["-O3", "-ffp-contract=off", "-fno-fast-math", "-fno-math-errno", "-Wall", "-Wextra"]
LANE_FLAGS = ["-fno-trapping-math", "-Wno-psabi", "-pthread"]


class BuildNative(build_ext):
    """Generates the kernels, then compiles; without a compiler the pure engine serves."""

    def build_extension(self, ext: Extension) -> None:
        """Build one of the extensions."""
        sys.path.insert(0, str(ROOT / NATIVE))
        import generate

        generated = Path(self.build_temp) / "kernels"
        generate.write_kernels(ROOT / "autograd/ops.py", generated)
        ext.include_dirs.append(str(generated))
        if self.compiler.compiler_type != "msvc":
            ext.extra_compile_args += FLAGS
        if ext.name == PROGRAM.name:
            self.prepare_lanes(ext)
        super().build_extension(ext)

    def prepare_lanes(self, ext: Extension) -> None:
        """What the lanes of compiled programs need beyond the engine."""
        if self.compiler.compiler_type == "msvc":
            raise CCompilerError("MSVC has no vectors of which a program could be made")
        ext.extra_compile_args += LANE_FLAGS
        ext.extra_link_args += ["-pthread"]
        if has_libmvec():
            ext.define_macros.append(("HAVE_LIBMVEC", "1"))
            ext.libraries += ["mvec", "m"]


def has_libmvec() -> bool:
    """Whether the system's library of functions of vectors is glibc's of 2.35 or later."""
    if platform.machine() != "x86_64" or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return False
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    return name == "glibc" and tuple(map(int, version.split("."))) >= (2, 35)


required = os.environ.get("AUTOGRAD_REQUIRE_NATIVE") == "1"
TABLE = [f"{NATIVE}/generate.py", "autograd/ops.py"]
ENGINE = Extension(
    "autograd._native.engine",
    [f"{NATIVE}/engine.c"],
    depends=[*(f"{NATIVE}/{part}.h" for part in ("node", "recording", "sweep", "type")), *TABLE],
    optional=not required,
)
PROGRAM = Extension(
    "autograd._native.program",
    [f"{NATIVE}/{part}.c" for part in ("program", "lanes_baseline", "lanes_avx2", "lanes_avx512")],
    depends=[
        *(
            f"{NATIVE}/{part}.h"
            for part in ("lanes", "plan", "machine", "arguments", "running", "calling")
        ),
        f"{NATIVE}/lanes.c",
        *TABLE,
    ],
    optional=not required,
)
setup(ext_modules=[ENGINE, PROGRAM], cmdclass={"build_ext": BuildNative})
