"""A schedule's text: read by a small recursive parser that evaluates nothing and imports nothing.

Grammar::

    schedule = product (">>" product)*
    product  = factor ("*" factor)*
    factor   = NUMBER | NAME "(" [argument ("," argument)*] ")" | "(" schedule ")"
    argument = [NAME "="] value
    value    = ["-"] NUMBER ["%" | "ep"] | STRING | "[" [value ("," value)*] "]" | "True" | "False" | schedule
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from stepsize import _check
from stepsize.schedule._core import Schedule
from stepsize.schedule._function import from_function
from stepsize.schedule._pieces import PIECES
from stepsize.schedule._recipes import one_cycle

LONGEST, DEEPEST = 10_000, 50
_TOKEN = re.compile(
    r"""(?P<number>-?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?!\w)|-?[0-9][0-9_]*\.?[0-9]*(?=ep\b))
    |(?P<unit>%|ep\b)|(?P<name>[A-Za-z_]\w*)|(?P<string>"[^"]*"|'[^']*')|(?P<mark>>>|[*(),=[\]])""",
    re.VERBOSE,
)
TRUTH = {"True": True, "False": False}
Factor = Schedule | float


class ScheduleTextError(ValueError):
    """A schedule's text that cannot be read: what is wrong, and where.

    Attributes:
        text: the whole text as given.
        position: index of the character at which reading failed.
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        start = max(0, position - 60)
        flat = "".join(" " if letter.isspace() else letter for letter in text)
        shown = ("..." if start else "") + flat[start : position + 20] + ("..." if len(text) > position + 20 else "")
        mark = position - start + (3 if start else 0)
        super().__init__(f"{problem}\n  at column {position + 1}: {shown[:mark]} <-- here --> {shown[mark:]}".rstrip())
        self.text = text
        self.position = position


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


Functions = Mapping[str, Callable[[float], float]]


def parse(text: str, functions: Functions | None = None) -> Schedule:
    """The schedule that a text says; see ``Schedule.parse``."""
    if not isinstance(text, str):
        raise TypeError(_check.message("text", text, "a text", 'write for example "warmup(5%) >> cosine()"'))
    if len(text) > LONGEST:
        raise ScheduleTextError(
            f"a schedule's text has at most {LONGEST:,} characters, got {len(text):,}", text, LONGEST
        )
    parser = _Parser(text, functions or {}, PIECES)
    result = parser.sequence()
    parser.expect("end", "the end of the text, '>>' or '*'")
    return parser.schedule(result, 0)


def parse_call(text: str, makers: Mapping[str, Callable[..., Any]]) -> Any:
    """The result of one call of a maker, such as ``plateau(patience=5)``; read like a schedule.

    Args:
        text: a name with arguments in brackets.
        makers: by name, what may be called.

    Raises:
        TypeError, ValueError: it is no such text, or the maker refuses its arguments.

    Example:
        >>> from stepsize.schedule import parse_call
        >>> parse_call("complex(3, imag=4)", {"complex": complex})
        (3+4j)
    """
    if not isinstance(text, str):
        raise TypeError(_check.message("text", text, "a text", f'write for example "{next(iter(makers))}()"'))
    parser = _Parser(text, {}, makers)
    made = parser.call(parser.expect("name", f"one of {', '.join(makers)}"))
    parser.expect("end", "the end of the text")
    return made


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if not match:
            method = re.match(r"\.\s*([a-z]+)\s*\(", text[at:])
            hint = f"; in a text it is written around the schedule: {method[1]}(cosine(), ...)" if method else ""
            raise ScheduleTextError(f"unexpected character {text[at]!r}{hint}", text, at)
        kind = str(match.lastgroup)
        tokens.append(_Token(match[0] if kind == "mark" else kind, match[0], at))
        at = match.end()
    return [*tokens, _Token("end", "the end", len(text))]


class _Parser:
    def __init__(self, text: str, functions: Functions, makers: Mapping[str, Callable[..., Any]]) -> None:
        self.text = text
        self.makers = makers
        self.functions = functions
        self.tokens = _tokens(text)
        self.index = 0
        self.depth = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.index]

    def take(self, kind: str) -> _Token | None:
        token = self.next
        if token.kind != kind:
            return None
        self.index += 1
        return token

    def expect(self, kind: str, what: str) -> _Token:
        token = self.take(kind)
        if token is None:
            raise self.error(f"expected {what}, found {self.next.text!r}", self.next.at)
        return token

    def error(self, problem: str, at: int) -> ScheduleTextError:
        return ScheduleTextError(problem, self.text, at)

    def schedule(self, factor: Factor, at: int) -> Schedule:
        if isinstance(factor, Schedule):
            return factor
        raise self.error("a number alone is not a schedule; write constant(value=...)", at)

    def sequence(self) -> Factor:
        at = self.next.at
        result = self.product()
        while mark := self.take(">>"):
            right_at = self.next.at
            left, right = self.schedule(result, at), self.schedule(self.product(), right_at)
            try:
                result = left >> right
            except ValueError as error:
                raise self.error(str(error), mark.at) from None
        return result

    def product(self) -> Factor:
        result = self.factor()
        while mark := self.take("*"):
            right = self.factor()
            try:
                result = right * result if isinstance(result, float) else result * right
            except ValueError as error:
                raise self.error(str(error), mark.at) from None
        return result

    def factor(self) -> Factor:
        token = self.next
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(f"brackets are at most {DEEPEST} deep", token.at)
        if self.take("number"):
            result: Factor = float(token.text.replace("_", ""))
        elif self.take("("):
            result = self.sequence()
            self.expect(")", "')'")
        elif self.take("name"):
            result = self.call(token)
        else:
            raise self.error(f"expected a piece such as cosine(), found {token.text!r}", token.at)
        self.depth -= 1
        return result

    def call(self, name: _Token) -> Any:
        if name.text == "function":
            return self.function()
        if name.text == "one_cycle":
            rate = one_cycle()["lr"]
            raise self.error(
                f"one_cycle gives rate and momentum to Control in Python; the rate alone is {rate}", name.at
            )
        if name.text not in self.makers:
            raise self.error(f"there is no piece {name.text!r}; {_check.closest(name.text, self.makers)}", name.at)
        self.expect("(", f"'(' after {name.text}")
        signature = inspect.signature(self.makers[name.text])
        positional, named = self.arguments(name.text, signature)
        try:
            signature.bind(*positional, **named)
        except TypeError as mismatch:
            raise self.error(f"{name.text}: {mismatch}; write {name.text}{_bare(signature)}", name.at) from None
        try:
            return self.makers[name.text](*positional, **named)
        except (TypeError, ValueError) as error:
            raise self.error(str(error), name.at) from None

    def arguments(self, piece: str, signature: inspect.Signature) -> tuple[list[object], dict[str, object]]:
        positional: list[object] = []
        named: dict[str, object] = {}
        while not self.take(")"):
            at = self.next.at
            key, value = self.argument()
            if key is None and named:
                raise self.error(f"{piece}: an argument without a name comes after one with a name", at)
            if key is None:
                positional.append(value)
            elif key in named:
                raise self.error(f"{piece}: {key} is given twice", at)
            elif key not in signature.parameters:
                hint = _check.closest(key, signature.parameters)
                raise self.error(f"{piece} has no argument {key!r}; {hint}", at)
            else:
                named[key] = value
            if self.next.kind != ")":
                self.expect(",", "',' or ')'")
        return positional, named

    def argument(self) -> tuple[str | None, object]:
        key = None
        if self.next.kind == "name" and self.tokens[self.index + 1].kind == "=":
            key = self.next.text
            self.index += 2
        return key, self.value()

    def value(self) -> object:
        token = self.next
        if token.kind == "number" and self.tokens[self.index + 1].kind == "unit":
            self.index += 2
            return token.text.replace("_", "") + self.tokens[self.index - 1].text
        if string := self.take("string"):
            return string.text[1:-1]
        if self.take("["):
            return self.values()
        if token.text in TRUTH and self.tokens[self.index + 1].kind != "(":
            self.index += 1
            return TRUTH[token.text]
        return self.sequence()

    def values(self) -> list[object]:
        values: list[object] = []
        while not self.take("]"):
            if self.next.kind == "[":
                raise self.error("a list holds numbers and lengths, no lists", self.next.at)
            values.append(self.value())
            if self.next.kind != "]":
                self.expect(",", "',' or ']'")
        return values

    def function(self) -> Schedule:
        self.expect("(", "'(' after function")
        name = self.expect("name", "the function's name")
        if name.text not in self.functions:
            hint = f"; {_check.closest(name.text, self.functions)}" if self.functions else ""
            problem = (
                f"the function {name.text!r} is not known; hand it over: Schedule.parse(text, functions=...){hint}"
            )
            raise self.error(problem, name.at)
        length: object = None
        if self.take(","):
            key, length = self.argument()
            if key != "length":
                raise self.error("function takes a name and length=...", name.at)
        self.expect(")", "')'")
        try:
            return from_function(self.functions[name.text], name=name.text, length=length)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise self.error(str(error), name.at) from None


def _bare(signature: inspect.Signature) -> str:
    """``(length=None, start=1.0, end=0.0)``: a signature without its annotations."""
    parameters = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
