"""The text is parsed, never evaluated; what is wrong is marked; the limits hold."""

import random
import time

import pytest

from stepsize.schedule import PIECES, Schedule, ScheduleTextError

READ = {
    "warmup(5%) >> cosine()": "warmup(5%) >> cosine()",
    "warmup('5%')>>cosine( )": "warmup(5%) >> cosine()",
    'warmup("5 %") >> 0.5*cosine(end=.1,)': "warmup(5%) >> (0.5 * cosine(end=0.1))",
    "2 * 0.25 * cosine()": "0.5 * cosine()",
    "cosine() * 1": "cosine()",
    "(warmup(5) >> cosine()) * step_decay(every=3ep)": "(warmup(5) >> cosine()) * step_decay(every=3ep)",
    "warmup(1_000, start=0) >> constant()": "warmup(1000, start=0) >> constant()",
    "absolute(linear(1e3, start=1e-3))": "absolute(linear(1000, start=0.001))",
    "exponential(gamma=0.5, every=2.5)": "exponential(gamma=0.5, every=2.5)",
    "step_decay(every=30)": "step_decay(every=30)",
    "stairs(warmup(5%) >> cosine(), '1ep')": "stairs(warmup(5%) >> cosine(), every=1ep)",
    "cosine() * (warmup(10) * 2)": "2 * cosine() * warmup(10)",
    "\n ( ( cosine(3) ) ) ": "cosine(3)",
}


@pytest.mark.parametrize("text", READ)
def test_texts_are_read(text):
    assert str(Schedule.parse(text)) == READ[text]


REFUSED = {
    "warmup(5%) >> cosin()": ("did you mean 'cosine'", 14),
    "warmup(5%) >> cosine(": ("found 'the end'", 21),
    "one_cycle()": ("the rate alone is cosine(30%, start=0.04, end=1) >> cosine(end=4e-06)", 0),
    "cosine(lenght=3)": ("did you mean 'length'?", 7),
    "cosine(length=1, length=2)": ("given twice", 17),
    "cosine(length=1, 2)": ("without a name comes after", 17),
    "linear(1, 2, 3, 4)": ("too many positional", 0),
    "step_decay()": ("missing a required argument: 'every'", 0),
    "warmup(5%) > cosine()": ("unexpected character '>'", 11),
    "0.5": ("a number alone", 0),
    "0.5 >> cosine()": ("a number alone", 0),
    "cosine(-1)": ("got -1", 0),
    "cosine(1e999)": ("got inf", 0),
    "cosine(9007199254740993)": ("below 9.0072e+15", 0),
    "cosine(nan)": ("no piece 'nan'", 7),
    "cosine() >> cosine()": ("only one piece", 9),
    "cosine(3) linear(4)": ("expected the end", 10),
    "": ("expected a piece", 0),
    "cosine().length": ("unexpected character '.'", 8),
    "cosine().stairs(1ep)": ("written around the schedule: stairs(cosine(), ...)", 8),
    "stairs(cosine(3))": ("missing a required argument: 'every'", 0),
    "__import__('os')": ("no piece '__import__'", 0),
    "cosine(length=eval(0))": ("no piece 'eval'", 14),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_is_said_and_marked(text):
    said, position = REFUSED[text]
    with pytest.raises(ScheduleTextError) as caught:
        Schedule.parse(text)
    assert said in str(caught.value)
    assert caught.value.position == position
    assert "<-- here" in str(caught.value)
    assert str(caught.value).count("\n") == 1


def test_limits():
    assert Schedule.parse("(" * 49 + "cosine()" + ")" * 49)
    for text in ("(" * 50 + "cosine()" + ")" * 50, "(" * 9_999, "absolute(" * 60, "cosine()" + " " * 10_000):
        with pytest.raises(ScheduleTextError):
            Schedule.parse(text)
    assert Schedule.parse(" * ".join(["cosine()"] * 800))


def generated(random_source, depth=0):
    """A text from the grammar, often right."""
    kind = random_source.random()
    if depth < 4 and kind < 0.25:
        return " >> ".join(generated(random_source, depth + 1) for _ in range(random_source.randint(2, 3)))
    if depth < 4 and kind < 0.4:
        return " * ".join(generated(random_source, depth + 1) for _ in range(2))
    if depth < 4 and kind < 0.5:
        return f"({generated(random_source, depth + 1)})"
    name = random_source.choice(list(PIECES))
    length = random_source.choice(["", "5", "5%", "2ep", "0.5", "length=3"])
    needs = {
        **dict.fromkeys(["step_decay", "inverse_sqrt", "cosine_wave", "cosine_restarts"], "every=3"),
        **dict.fromkeys(["triangular", "triangular2", "exp_range"], "up=2, down=5"),
        **dict.fromkeys(["absolute", "clip", "part", "repeat"], "schedule=cosine(3)"),
        "stairs": "schedule=cosine(3), every=1ep",
        "multi_step": "at=[3, 5%]",
        "piecewise_constant": "at=[3], values=[1, 0.5]",
        "piecewise_linear": "at=[3, 4ep], values=[1, 0.5]",
        "noam": "warm=5",
    }
    bare = name in ("absolute", "clip", "part", "repeat", "stairs", "noam", "wsd")
    return f"{name}({', '.join(part for part in ('' if bare else length, needs.get(name, '')) if part)})"


LETTERS = "()[]>*=,.%'\" 0123456789eEpcosinearmupwthld_-\x00é"


def mutated(random_source):
    """A text from the grammar with up to three characters changed, put in or left out; now and then very long."""
    text = generated(random_source)
    if random_source.random() < 0.001:
        text = random_source.choice(["(", "[", "absolute(", text + " >> "]) * random_source.choice([10, 60, 3_000])
    for _ in range(random_source.choice([0, 0, 1, 3])):
        at = random_source.randrange(len(text) + 1)
        text = text[:at] + random_source.choice(LETTERS) * random_source.randint(0, 1) + text[at + 1 :]
    return text


@pytest.mark.parametrize("count", [4_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_fuzz_raises_nothing_but_its_own_error_and_round_trips(count):
    random_source = random.Random(0)
    parsed = 0
    began = time.process_time()
    for _ in range(count):
        text = mutated(random_source)
        try:
            schedule = Schedule.parse(text)
        except ScheduleTextError:
            continue
        parsed += 1
        assert Schedule.parse(str(schedule)) == schedule
    assert parsed > count * 0.3
    assert time.process_time() - began < 60
