"""Every piece with an example of its own: what the command line explains and the documentation pictures."""

import inspect
from pathlib import Path

from stepsize import schedule as room
from stepsize.schedule import PIECES, Schedule, from_function, one_cycle
from stepsize.views import draw, save

TOTAL = 1_000.0
_EXAMPLES = {
    "absolute": "absolute(linear(start=0.1, end=0.01))",
    "clip": "clip(cosine(), low=0.2)",
    "constant": "constant(value=0.5)",
    "cosine": "cosine()",
    "cosine_restarts": "cosine_restarts(every=100, growth=2, decay=0.8)",
    "cosine_wave": "cosine_wave(every=300)",
    "exp_range": "exp_range(up=100, gamma=0.998)",
    "exponential": "exponential(gamma=0.01)",
    "inverse_sqrt": "warmup(100) >> inverse_sqrt(every=100)",
    "linear": "linear()",
    "multi_step": "multi_step(at=[300, 800], gamma=0.3)",
    "noam": "noam(100)",
    "noise": "noise(limit=0.3, every=10) * cosine()",
    "one_minus_sqrt": "constant() >> one_minus_sqrt(30%)",
    "part": "part(cosine(), start=20%, length=50%)",
    "piecewise_constant": "piecewise_constant(at=[200, 50%], values=[1, 0.5, 0.2])",
    "piecewise_linear": "piecewise_linear(at=[0, 10%, 80%, 100%], values=[0, 1, 0.6, 0])",
    "polynomial": "polynomial(power=2)",
    "repeat": "repeat(linear(), 4)",
    "stairs": "stairs(cosine(), every=10%)",
    "step_decay": "step_decay(every=30%, gamma=0.3)",
    "triangular": "triangular(up=100, down=200)",
    "triangular2": "triangular2(up=100)",
    "warmup": "warmup(20%) >> constant()",
    "wsd": "wsd()",
}
GALLERY = tuple(sorted([*PIECES, "from_function", "one_cycle"]))
"""The names of all pieces and recipes."""


def example(name: str) -> dict[str, Schedule]:
    """A piece's example over a run of 1,000 steps, by the text to show with it.

    Args:
        name: one of ``GALLERY``.

    Example:
        >>> from stepsize.pages import example
        >>> example("linear")
        {'linear()': linear(1000)}
    """
    if name == "one_cycle":
        return {key: value.over(TOTAL) for key, value in one_cycle().items()}
    if name == "from_function":
        wobble = from_function(lambda t: 0.5 + 0.5 * (int(t) // 100 % 2), name="every_other_hundred")
        return {"every other hundred": wobble.over(TOTAL)}
    text = _EXAMPLES[name]
    return {text: Schedule.parse(text).over(TOTAL)}


def signature(name: str) -> str:
    """The call of a piece: ``cosine(length=None, start=1.0, end=0.0)``.

    Args:
        name: one of ``GALLERY``.

    Example:
        >>> from stepsize.pages import signature
        >>> signature("cosine")
        'cosine(length=None, start=1.0, end=0.0)'
    """
    parameters = inspect.signature(getattr(room, name)).parameters.values()
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return name + str(inspect.Signature(bare))


def summary(name: str) -> str:
    """A piece in one line.

    Args:
        name: one of ``GALLERY``.

    Example:
        >>> from stepsize.pages import summary
        >>> summary("linear")
        'A straight line from start to end.'
    """
    return explanation(name).splitlines()[0]


def explanation(name: str) -> str:
    """A piece's formula, parameters, example and source.

    Args:
        name: one of ``GALLERY``.

    Example:
        >>> from stepsize.pages import explanation
        >>> "f(t) = start + (end - start) t / length" in explanation("linear")
        True
    """
    return inspect.getdoc(getattr(room, name)) or ""


def gallery_picture(name: str, path: Path | str) -> None:
    """Draw a piece's example.

    Args:
        name: one of ``GALLERY``.
        path: the picture, .png, .svg or .pdf.

    Example:
        >>> from stepsize.pages import gallery_picture
        >>> gallery_picture("cosine", "cosine.png")
    """
    ax = draw(example(name))
    ax.set_title(" and ".join(example(name)), fontsize=10)
    ax.figure.set_size_inches(6, 2.6)
    save(ax.figure, path, dpi=80)
