"""The tape of a compiled function, and its text as Python, C and LaTeX."""

import ast
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count as count_from
from string import Formatter

from autograd import graph
from autograd.ops import PRIMITIVES, TABLE, Op
from autograd.optimisation import DOT, NOTHING, ROWS, SELECT, Encoded
from autograd.tape import (
    RESERVED,
    Input,
    Instruction,
    StraightLineCode,
    identifier,
    imported,
    latex_aligned,
    latex_cases,
    latex_derivative,
    latex_name,
    latex_number,
    latex_row,
    latex_text,
    read_formula,
    value_formula,
)

CHOICE = Op("select", "where", "where", (), (), "y where x is not 0, else z", r"\ ")
"""The instruction of a `where`; its operands are the condition and what it chooses between."""

PRODUCTS = Op("dot", "·", "dot", (), (), "a sum of products, from left to right", r"\ ")
"""The instruction of a dot product; its operands are the start, if it has one, and then the two
factors of each product."""

Operand = int | float


@dataclass(frozen=True)
class Names:
    """What a program's inputs and results are called.

    Attributes:
        inputs: the names of the inputs.
        values: the numbers that they had when the function was traced.
        labels: the labels of instructions, by slot.
        gradients: slots, each followed by that of its gradient; one below 0 is no slot any more.
        reverse: the first slot of the reverse sweep.
    """

    inputs: list[str]
    values: Sequence[float]
    labels: Mapping[int, str]
    gradients: Sequence[int]
    reverse: int


@dataclass(frozen=True)
class ProgramTape(StraightLineCode):
    """The tape of a program; its gradients are instructions like all others.

    The inputs are the numbers of the arguments, then the leaves from outside.

    Attributes:
        results: the slot or number of each result.
        structure: the text of the result, with a place `{}` for each of them.
        primals: for each instruction that is a gradient the slot of which it is one.
        reverse: how many instructions stand before the reverse sweep.
        sizes: how many instructions there were after each pass.
    """

    results: tuple[Operand, ...]
    structure: str
    primals: Mapping[int, int]
    reverse: int
    sizes: Mapping[str, int]

    def stats(self) -> dict[str, int]:
        """How many instructions were recorded, and how many there were after each pass."""
        return dict(self.sizes)

    def _variables(self, clean: Callable[[str], str], taken: Iterable[str]) -> list[str]:
        """A clean name for each slot; that of a gradient is grad_ and its primal's."""
        names = graph.distinct([clean(slot.name) for slot in self.slots], taken)
        for slot, primal in self.primals.items():
            names[slot] = f"grad_{names[primal]}"
        return names

    # Python.

    def identifiers(self) -> list[str]:
        """A name for each slot that is a variable's in Python; no two are alike."""
        return self._variables(identifier, RESERVED | {"result"})

    def python(self) -> str:
        """The flat code: a program that computes the result, for the inputs of the first call."""
        names = self.identifiers()
        lines = [*self._assignments(names, _python_expression)]
        calls = {name for x in self.instructions for name in _calls(x.op)}
        numbers = [z for z in self.results if not isinstance(z, int)]
        results = self.structure.format(*(_text(z, names) for z in self.results))
        sections = [
            *imported("math", self._infinite(numbers)),
            *imported("autograd", calls),
            *("", "# inputs"),
            *(f"{name} = {x.value!r}" for name, x in zip(names, self.inputs, strict=False)),
            *("", "# forward", *lines[: self.reverse]),
            *(("", "# backward", *lines[self.reverse :]) if lines[self.reverse :] else ()),
            *("", "# result", f"result = {results}", ""),
        ]
        return "\n".join(sections).lstrip("\n")

    def _assignments(
        self, names: Sequence[str], expression: Callable[[Instruction, Sequence[str]], str]
    ) -> Iterator[str]:
        for name, instruction in zip(names[len(self.inputs) :], self.instructions, strict=True):
            yield f"{name} = {expression(instruction, names)}"

    # C.

    def c(self, function: str) -> str:
        """The program as a C file with the function `void NAME(const double *, double *)`.

        NAME is the name of the function where C leaves it free. The file is C99 and ASCII, the
        names in its first comment apart.
        """
        names = self._variables(_c_variable, _C_RESERVED)
        [name] = graph.distinct([_c_identifier(function)], _C_FUNCTIONS)
        rows = {x.op for x in self.instructions}
        return _C.format(
            name=name,
            inputs=_listed("inputs", [x.name for x in self.inputs]),
            outputs=_listed("outputs", [_c_text(z, names) for z in self.results]),
            definitions="".join(f"\n{text}\n" for text in c_definitions(rows)),
            body="\n".join(f"    {statement};" for statement in self._statements(names)),
        )

    def _statements(self, names: Sequence[str]) -> Iterator[str]:
        """The body of the function; what it does not read, it does not declare."""
        operands = [z for x in self.instructions for z in x.operands]
        read = {z for z in (*operands, *self.results) if isinstance(z, int)}
        inputs = [slot for slot in range(len(self.inputs)) if slot in read]
        yield from (f"const double {names[slot]} = inputs[{slot}]" for slot in inputs)
        yield from (f"const double {x}" for x in self._assignments(names, _c_expression))
        yield from (f"outputs[{i}] = {_c_text(z, names)}" for i, z in enumerate(self.results))
        if not inputs:
            yield "(void)inputs"
        if not self.results:
            yield "(void)outputs"

    # LaTeX.

    def latex(self) -> str:
        """The equations of the forward pass, of the gradients and of the result, aligned."""
        names = [latex_name(slot.name) for slot in self.slots]
        of = next((names[z] for z in self.results if isinstance(z, int)), "f")
        for slot, primal in self.primals.items():
            names[slot] = latex_derivative(of, names[primal])
        lines = zip(names[len(self.inputs) :], self.instructions, strict=True)
        return latex_aligned(
            [
                *(f"{name} &= {_latex_expression(x, names)}" for name, x in lines),
                rf"\mathrm{{result}} &= {self._latex_result(names)}",
            ]
        )

    def _latex_result(self, names: Sequence[str]) -> str:
        """The structure of the result, with what stands in each place."""
        places = iter([_latex_operand(z, names) for z in self.results])
        return "".join(
            _latex_structure(text) + ("" if place is None else next(places))
            for text, place, _, _ in Formatter().parse(self.structure)
        )


def tape_of(
    encoded: Encoded, names: Names, structure: str, sizes: Mapping[str, int]
) -> ProgramTape:
    """The tape of a program."""
    count, constants = encoded.inputs, encoded.constants
    first = count + len(constants)

    def operand(slot: int) -> Operand:
        if slot < count:
            return slot
        return constants[slot - count] if slot < first else slot - len(constants)

    operations = [(*_operation(encoded, k), first + k // 4) for k in range(0, len(encoded.code), 4)]
    primals = _primals(encoded, names)
    shown = _shown(names, [slot for _, _, slot in operations])
    for slot, primal in primals.items():
        shown[slot] = f"grad_{shown[primal]}"
    return ProgramTape(
        tuple(Input(*x, False) for x in zip(shown, names.values, strict=False)),
        tuple(
            Instruction(name, op, tuple(map(operand, operands)), False)
            for name, (op, operands, _) in zip(shown[count:], operations, strict=True)
        ),
        tuple(map(operand, encoded.outputs)),
        structure,
        primals,
        max(names.reverse - first, 0),
        sizes,
    )


def _shown(names: Names, operations: Iterable[int]) -> list[str]:
    """The display name of each input and operation, no two alike."""
    labels = [names.labels.get(slot, "") for slot in operations]
    wanted = [*map(graph.printable, [*names.inputs, *labels])]
    taken = {*wanted}
    free = (name for i in count_from() if (name := f"s{i}") not in taken)
    return graph.distinct([name or next(free) for name in wanted], {"result"})


def _primals(encoded: Encoded, names: Names) -> dict[int, int]:
    """For each slot of the reverse sweep that is a gradient, the slot of which it is one.

    Several nodes may share a slot after the passes, and each has a gradient of its own. Those
    that share the slot of an input pass it on, so that its gradient is the last of them, the sum;
    of others it is not known.
    """
    constants, count = len(encoded.constants), encoded.inputs
    gradients: dict[int, list[int]] = defaultdict(list)
    for primal, slot in zip(names.gradients[0::2], names.gradients[1::2], strict=True):
        gradients[primal].append(slot)
    found: dict[int, int] = {}
    for primal, slots in sorted(gradients.items(), reverse=True):  # inputs are named for good
        slot = max(slots)
        if slot < max(count + constants, names.reverse):
            continue
        if 0 <= primal < count:
            found[slot - constants] = primal
        elif primal >= count + constants:
            found[slot - constants] = primal - constants
    return found


def _operation(encoded: Encoded, place: int) -> tuple[Op, list[int]]:
    """The op of an instruction and the slots of its operands."""
    row, *operands = encoded.code[place : place + 4]
    if row == DOT:
        start, count, total = operands
        return PRODUCTS, [
            *([] if total == NOTHING else [total]),
            *encoded.terms[2 * start : 2 * (start + count)],
        ]
    return CHOICE if row == SELECT else ROWS[row], [z for z in operands if z != NOTHING]


# Python.


def _text(operand: Operand, names: Sequence[str]) -> str:
    return names[operand] if isinstance(operand, int) else repr(operand)


def _calls(op: Op) -> Iterable[str]:
    if op is CHOICE:
        return ["where"]
    return [] if op is PRODUCTS else read_formula(value_formula(op), True).calls


def _sum_of_products(texts: list[str], times: str) -> str:
    start = texts[: len(texts) % 2]
    factors = texts[len(start) :]
    products = map(times.join, zip(factors[0::2], factors[1::2], strict=True))
    return " + ".join([*start, *products])


def _python_expression(instruction: Instruction, names: Sequence[str]) -> str:
    texts = [_text(z, names) for z in instruction.operands]
    if instruction.op is CHOICE:
        return f"where({', '.join(texts)})"
    if instruction.op is PRODUCTS:
        return _sum_of_products(texts, " * ")
    return read_formula(value_formula(instruction.op), True).fill(instruction, names)


# C.

_C = """\
/* {name}: written by scalar-autograd.

   Inputs: {inputs}
   Outputs: {outputs}

   Where the compiler may fuse a product and a sum into one operation, -ffp-contract=off keeps the
   last bits. Link with the library of mathematics (-lm). */

#include <math.h>

void {name}(const double *inputs, double *outputs);
{definitions}
void {name}(const double *inputs, double *outputs)
{{
{body}
}}
"""

_C_NAMES = {"abs": "fabs", "round": "nearbyint"}
"""The primitives that have another name in C."""

_C_KEYWORDS = """
    alignas alignof asm auto bool break case char const constexpr continue default do double else
    enum extern false float for goto if inline int long nullptr register restrict return short
    signed sizeof static static_assert struct switch thread_local true typedef typeof typeof_unqual
    union unsigned void volatile while
"""
_C_MACROS = "hppa i386 linux math_errhandling mips sparc sun unix vax"
_C_RESERVED = {
    *("inputs", "outputs", "where", *PRIMITIVES, *_C_NAMES.values()),
    *f"{_C_KEYWORDS} {_C_MACROS}".split(),
}
"""What is no name of a variable in C."""

_C_MATHEMATICS = """
    acos acosh asin asinh atan atan2 atanh cabs cacos cacosh carg casin casinh catan catanh cbrt
    ccos ccosh ceil cexp cimag clog clog10 conj copysign cos cosh cpow cproj creal csin csinh csqrt
    ctan ctanh drem erf erfc exp exp10 exp2 expm1 fabs fdim finite floor fma fmax fmin fmod frexp
    gamma hypot ilogb isinf isnan j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 logb
    lrint lround modf nan nearbyint nextafter nexttoward pow pow10 remainder remquo rint round
    roundeven scalb scalbln scalbn signbit significand sin sincos sinh sqrt tan tanh tgamma trunc y0
    y1 yn
"""
_C_SUFFIXES = ("", "f", "l", "f16", "f32", "f32x", "f64", "f64x", "f128", "d32", "d64", "d128")
_C_OTHERS = """
    abort abs aligned_alloc alloca bcmp bcopy bzero calloc dcgettext dgettext double_t execl execle
    execlp execv execve execvp exit feclearexcept fegetenv fegetexceptflag fegetround feholdexcept
    feraiseexcept fesetenv fesetexceptflag fesetround fetestexcept feupdateenv ffs ffsimax ffsl
    ffsll float_t fork fpclassify fprintf fprintf_unlocked fputc fputc_unlocked fputs fputs_unlocked
    free fscanf fwrite fwrite_unlocked gamma_r gammaf_r gammal_r gettext imaxabs index isalnum
    isalpha isascii isblank iscanonical iscntrl isdigit iseqsig isfinite isgraph isgreater
    isgreaterequal isless islessequal islessgreater islower isnormal isprint ispunct issignaling
    isspace issubnormal isunordered isupper iswalnum iswalpha iswblank iswcntrl iswdigit iswgraph
    iswlower iswprint iswpunct iswspace iswupper iswxdigit isxdigit iszero labs lgamma_r lgammaf_r
    lgammal_r llabs main malloc memchr memcmp memcpy memmove mempcpy memset posix_memalign printf
    printf_unlocked putc putc_unlocked putchar putchar_unlocked puts puts_unlocked realloc rindex
    scanf signgam snprintf sprintf sscanf stpcpy stpncpy strcasecmp strcat strchr strcmp strcpy
    strcspn strdup strfmon strftime strlen strncasecmp strncat strncmp strncpy strndup strnlen
    strpbrk strrchr strspn strstr toascii tolower toupper towlower towupper vfprintf vfscanf vprintf
    vscanf vsnprintf vsprintf vsscanf
"""
_C_FUNCTIONS = {
    *_C_RESERVED,
    *(name + suffix for name in _C_MATHEMATICS.split() for suffix in _C_SUFFIXES),
    *_C_OTHERS.split(),
}
"""What is no name of a function: besides, what math.h declares or compilers know as one."""

_MACRO = re.compile(r"[A-Z][\d_]*[A-Z]")
"""How the names of macros begin: NAN, M_PI, M_2_PI."""


def _c_identifier(name: str, *taken: str) -> str:
    """The name in ASCII, as one that is no macro's and begins with nothing that is taken."""
    letters = unicodedata.normalize("NFKD", name)
    text = re.sub(r"\W", "_", "".join(map(_ascii, letters)), flags=re.ASCII).strip("_")
    is_free = text[:1].isalpha() and not _MACRO.match(text)
    return text if is_free and not text.startswith(("autograd_", *taken)) else f"v_{text}"


def _c_variable(name: str) -> str:
    return _c_identifier(name, "grad_")


def _ascii(letter: str) -> str:
    """The letter without accents, by the last word of its name where it is no ASCII: theta."""
    if letter.isascii() or not letter.isalnum():
        return "" if unicodedata.combining(letter) else letter
    return unicodedata.name(letter, "_").split()[-1].lower()


def _listed(array: str, names: Sequence[str]) -> str:
    """What each number of an array is, for a comment: without `/*`, `*/` and trigraphs."""
    text = ", ".join(f"{array}[{i}] = {name}" for i, name in enumerate(names))
    return re.sub(r"(?<=[*/?])(?=[*/?])", " ", text)


def _c_text(operand: Operand, names: Sequence[str]) -> str:
    if isinstance(operand, int):
        return names[operand]
    if math.isnan(operand):
        return "NAN"
    return repr(operand).replace("inf", "INFINITY")


def _c_expression(instruction: Instruction, names: Sequence[str]) -> str:
    texts = [_c_text(z, names) for z in instruction.operands]
    if instruction.op is CHOICE:
        condition, a, b = texts
        return f"{condition} != 0.0 ? {a} : {b}"
    if instruction.op is PRODUCTS:
        return _sum_of_products(texts, " * ")
    op = instruction.op
    if "(" in op.value:
        return f"{_c_name(op.name)}({', '.join(texts)})"
    return op.value.replace("x", "{x}").replace("y", "{y}").format(x=texts[0], y=texts[-1])


def _c_name(name: str) -> str:
    """The function in C of a row or primitive."""
    return _C_NAMES.get(name, name) if name in PRIMITIVES else f"autograd_{name}"


@cache
def _c_formula(formula: str) -> tuple[str, frozenset[str]]:
    """A formula of the table in C, and the rows that it calls."""
    tree = ast.parse(formula, mode="eval").body
    called = [x.func for x in ast.walk(tree) if isinstance(x, ast.Call)]
    names = {x.id for x in called if isinstance(x, ast.Name)}
    for x in called:
        if isinstance(x, ast.Name) and x.id != "where":
            x.id = _c_name(x.id)
    return ast.unparse(tree), frozenset(names & TABLE.keys())


def c_definitions(rows: Iterable[Op]) -> list[str]:
    """The functions of C for rows that are neither arithmetic nor in its library."""
    wanted: set[str] = set()
    stack = [op.name for op in rows if op.name in TABLE and "(" in op.value]
    while stack:
        name = stack.pop()
        if name not in wanted and name not in PRIMITIVES:
            wanted.add(name)
            stack += _c_formula(TABLE[name].value)[1]
    found = [
        f"static double {_c_name(op.name)}({', '.join(f'double {x}' for x in 'xy'[: op.arity])})\n"
        f"{{\n    return {_c_formula(op.value)[0]};\n}}"
        for op in TABLE.values()
        if op.name in wanted
    ]
    macro = ["#define where(condition, a, b) ((condition) ? (a) : (b))"]
    return (macro if any("where(" in text for text in found) else []) + found


# LaTeX.


def _latex_operand(operand: Operand, names: Sequence[str]) -> str:
    return names[operand] if isinstance(operand, int) else latex_number(repr(operand))


def _latex_structure(text: str) -> str:
    """A piece of the text of a structure; what is no bracket or comma stands as it is."""
    return text if set(text) <= set("()[], ") else latex_text(text)


def _latex_expression(instruction: Instruction, names: Sequence[str]) -> str:
    texts = [_latex_operand(z, names) for z in instruction.operands]
    if instruction.op is PRODUCTS:
        factors = [f"({text})" if text.startswith("-") else text for text in texts]
        return _sum_of_products(factors, r" \cdot ")
    if instruction.op is CHOICE:
        condition, a, b = texts
        return latex_cases(a, rf"{condition} \neq 0", b)
    return latex_row(instruction.op, texts)
