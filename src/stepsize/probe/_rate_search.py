"""``RateSearch``: the race of ``find`` in a loop of its user, and everything it was handed put back."""

import inspect
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize import _check
from stepsize.control import Control, CourseLike, Plan, check_free, set_aside
from stepsize.optim import Clipper, parameters, read_value
from stepsize.probe._drive import Drive
from stepsize.probe._given import also_of, check_model, optimizers_by_name
from stepsize.probe._loan import Loan, rebase
from stepsize.probe._loop_run import LoopRun, finite_mean
from stepsize.probe._own_steps import OwnSteps, check_own
from stepsize.probe._ranks import mean_of_each
from stepsize.probe._scores import Scores
from stepsize.probe._source import Source, alike, mark_of
from stepsize.probe._squeeze import Squeeze
from stepsize.schedule import Schedule
from stepsize.search import Ask, Finding, Progress, Race, Recheck, Tried
from stepsize.state import Captured, can_capture, capture, is_optimizer, lent, on_loan

LENT = "optimizer is on loan to another search or range test, which is not over; end that first, then begin this one"
MODEL = "build the model and its optimizers before the search"


class RateSearch:
    """Find a learning rate in a loop of your own: the race of ``find``, and everything it was handed is put back.

    The loop trains a handful of short runs, each from the same start on the same batches, with the whole schedule
    squeezed into it; ``finding`` says what they come to, and ``apply`` sets it. At the end, and also when the loop
    raises or is left by ``break``, all is put back bit for bit: weights, gradients, buffers, modes, optimizers with all
    that they hold, scaler, loader, the random generators. Every group keeps the ratio of its rate to the largest, which
    gets the rate that is tried.

    Args:
        optimizer: the optimizer that ``run.step`` steps, or several, in a list or a mapping by name.
        model: that it trains.
        lr: the schedule of the whole run or its text, as for ``Control``; a factor of the rate.
        total: updates of the whole run, >= 1.
        loader: gives the batches: a DataLoader, a list of them, or a function that makes an iterator. Where it ends
            within a run it begins again, as the next epoch would.
        probe: what runs are scored on: a function that returns the loss on fixed held-out data, called in eval mode and
            without gradients; or batches, of which the loss is taken by ``loss``, or else in the loop itself. When left
            out, another shuffle of a loader that shuffles; of any other, the first batches are set aside, up to
            24 and at most a quarter of an epoch.
        loss: (model, batch) -> the loss, for scores. Without it, and without a function as ``probe``, the loop gets
            batches at the end of a run that ``run.step`` only takes the loss of, which costs three times as much.
        scaler: the ``torch.amp.GradScaler`` that scales the loss.
        also: further modules, optimizers that keep their rates and are stepped by the loop, random generators, loaders
            or objects with a state dict that the loop changes, such as an average of the weights.
        clip: as for ``Control``.
        accumulate: batches, and calls of ``run.step``, to one update, >= 1.
        zero: whether ``run.step`` also zeroes the gradients.
        own_steps: whether the loop steps its optimizers itself, as a trainer or a function of yours does, and clips,
            scales, accumulates and zeroes the gradients. It may stay as it is: the schedule moves on by one for each
            batch with a step, and rates that the loop writes are written over just before. ``run.step(loss)`` may come
            once after each batch: then a run ends early where its loss is not finite.
        per_epoch: updates in an epoch, > 0, for lengths such as ``"3ep"``.
        position: updates done already, >= 0, in mid-training: the rate is found for what is left of the schedule.
        budget: what to spend, about, as for ``find``.
        low: the lowest rate to try, > 0.
        high: the highest rate to try, > low.
        settle: whether longer runs follow where the answer is not to be trusted, as for ``find``.
        around: the rate that the run has, > 0: then nothing else is asked than whether a tenth of it to three hundred
            times it would do better for what is left, by forks that cost a tenth of the whole run at most; budget, low,
            high and settle are left out. The finding's rate is the run's own where that should be kept.
        progress: called with (steps done, steps expected, a note for people).
        others: schedules of momentum, weight decay and any other number in the groups, as for ``Control``.

    Raises:
        TypeError, ValueError: an argument is invalid.
        RuntimeError: the optimizer is in another search or range test that is not over.

    Example:
        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from stepsize import RateSearch, cosine, warmup
        >>> x = torch.randn(512, 4, generator=torch.Generator().manual_seed(0))
        >>> loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8, shuffle=True)
        >>> model = torch.nn.Linear(4, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> search = RateSearch(optimizer, model, lr=warmup("5%") >> cosine(), total=200, loader=loader)
        >>> for run in search:
        ...     for inputs, targets in run.batches():
        ...         loss = (model(inputs) - targets).square().mean()
        ...         loss.backward()
        ...         step = run.step(loss)
        >>> 0.01 < search.finding.rate < 1
        True
    """

    def __init__(
        self,
        optimizer: Optimizer | Iterable[Optimizer] | Mapping[str, Optimizer],
        model: nn.Module,
        *,
        lr: CourseLike | Plan,
        total: int,
        loader: Any,
        probe: Any = None,
        loss: Callable[..., Any] | None = None,
        scaler: torch.amp.GradScaler | None = None,
        also: Iterable[Any] = (),
        clip: float | Schedule | Clipper | str | None = None,
        accumulate: int = 1,
        zero: bool = True,
        own_steps: bool = False,
        per_epoch: float | None = None,
        position: int = 0,
        budget: str | int | None = None,
        low: float = 1e-6,
        high: float = 100.0,
        settle: bool = False,
        around: float | None = None,
        progress: Progress | None = None,
        **others: CourseLike,
    ) -> None:
        self._optimizers = optimizers_by_name(optimizer)
        _check_not_lent(self._optimizers.values())
        check_model(model, self._optimizers.values())
        parts: dict[str, Any] = dict(others)
        self._squeeze = Squeeze(Plan(lr, clip=clip, **parts), total, position, per_epoch)
        self._squeeze.check_groups(group for optimizer in self._optimizers.values() for group in optimizer.param_groups)
        self._accumulate = _check.whole("accumulate", accumulate, least=1)
        if not isinstance(zero, bool):
            raise TypeError(_check.message("zero", zero, "True or False"))
        self._zero, self._scaler = zero, scaler
        if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
            raise TypeError(_check.message("scaler", scaler, "a torch.amp.GradScaler"))
        if not isinstance(own_steps, bool):
            raise TypeError(_check.message("own_steps", own_steps, "True or False"))
        self._own_steps = own_steps
        if own_steps:
            check_own(probe, loss, clip=clip, scaler=scaler)
        self._source, self._model = Source(loader, "loader"), model
        self._also = also_of(also)
        left = self._squeeze.left
        self._scores = Scores(self._source, probe, loss, left * self._accumulate, model, self._also)
        self._race: Race | Recheck
        if around is None:
            self._race = Race(
                left,
                low,
                high,
                budget,
                clock=_agreed_time,
                forward=self._scores.price,
                most=self._scores.most,
                settle=settle,
                progress=progress,
            )
        else:
            _check_around(budget=budget, low=low, high=high, settle=settle)
            self._race = Recheck(
                _check.number("around", around, above=0),
                total,
                left,
                forward=self._scores.price,
                most=self._scores.most,
                clock=_agreed_time,
                progress=progress,
            )
        state = [part for part in (loader, probe, scaler) if part is not None and can_capture(part)]
        self._things = [*self._optimizers.values(), model, *state, *self._also]
        self._loan = Loan(list(self._optimizers.values()))
        self._apart = False
        self._began = False
        self._runs = 0
        self._first: list[Any] | None = None
        self._unrestored: tuple[str, ...] = ()
        self._why = "the search has not been run; iterate over it: for run in search"
        self._finding: Finding | None = None

    @property
    def finding(self) -> Finding:
        """The answer, as ``find`` gives it; its rate is that of the group with the largest rate.

        Raises:
            RuntimeError: the search is not over, or was left before it was.
        """
        if self._finding is None:
            raise RuntimeError(f"there is no finding: {self._why}")
        return self._finding

    def apply(self) -> None:
        """Give every group the rate found, the ratios of the groups kept, for the training itself.

        Where a scheduler of torch has noted the groups' rates it is these that change, and what it has made of them
        changes in proportion; a scheduler in ``also`` takes them as its bases.

        Raises:
            RuntimeError: there is no finding or no usable rate, or a Control or Scheduler drives the optimizer.
        """
        if self.finding.rate is None:
            raise RuntimeError(f"there is no rate to apply: {self.finding.verdict}")
        try:
            check_free(self._optimizers.values())
        except ValueError:
            problem = "a Control or Scheduler drives the optimizer, and would write its own rates"
            raise RuntimeError(f"{problem}; tell it: control.rebase(search.finding.rate)") from None
        self._loan.give(self.finding.rate)
        for thing in self._also:
            rebase(thing)

    @property
    def unrestored(self) -> tuple[str, ...]:
        """Names of what could not be put back, such as a stream's position; empty where all is as before."""
        return self._unrestored

    def __iter__(self) -> Iterator[LoopRun]:
        """The short runs; all is put back when the loop over them ends, however it does.

        Every process of several that train together runs the loop, and all take one decision.

        Raises:
            RuntimeError: it was iterated before, or the loop does not do what a short run needs.
        """
        if self._began:
            raise RuntimeError("this search was iterated before; make a new one with RateSearch(...)")
        self._began = True
        return self._lent()

    def _lent(self) -> Generator[LoopRun, None, None]:
        optimizers = list(self._optimizers.values())
        try:
            _check_not_lent(optimizers)
        except RuntimeError as error:
            self._why = str(error)
            raise
        self._why = "its loop has not ended yet"
        kept = capture(*self._things)
        try:
            with ExitStack() as stack:
                stack.callback(kept.restore)
                stack.callback(self._scores.release)
                stack.enter_context(lent(filter(is_optimizer, self._things)))
                self._loan = Loan(optimizers)
                self._scores.prepare()
                self._race.most = self._scores.most
                while asks := self._race.ask():
                    for ask in asks:
                        tried = yield from self._tried(ask, kept)
                        self._race.tell(ask, tried)
                self._finding = self._race.finding
        finally:
            self._unrestored = kept.unrestored
            if self._finding is None:
                self._why = f"the loop was left in short run {self._runs}, by break or an error; all is put back"

    def _tried(self, ask: Ask, kept: Captured) -> Generator[LoopRun, None, Tried]:
        """Train a run that the race wants, and say how it went."""
        kept.restore()
        self._loan.lend(ask.rate)
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                if "initial_lr" in group:  # of a scheduler, which has noted what it takes for the base
                    group["initial_lr"] = read_value(group)
            optimizer.zero_grad()
        with ExitStack() as stack:
            stack.enter_context(set_aside(self._optimizers.values()))
            drive = self._drive(ask.steps)
            stack.callback(drive.end)
            stream = self._source.batches(self._scores.aside)
            scored = self._scores.in_loop(ask.probe)
            modules = self._scores.modules
            run = LoopRun(
                ask.rate,
                ask.steps,
                drive,
                stream,
                self._accumulate,
                scored,
                modules,
                self._scores.rewind,
                self._source.loader,
            )
            if ask.steps or self._scores.looped:
                before = self._shape()
                self._runs += 1
                yield run
                self._check(run, before)
                self._apart = drive.apart
        probed = run.probed if self._scores.looped else self._scores.taken(ask.probe) if run.alive else []
        probed = mean_of_each(probed)
        score = finite_mean(probed) if run.alive else math.inf
        return Tried(ask.rate, ask.steps, score, tuple(run.losses), tuple(probed))

    def _drive(self, steps: int) -> Drive | OwnSteps:
        """The driver of a run of so many steps, with the schedule scaled to it."""
        plan = self._squeeze.plan_for(max(1, steps))
        if self._own_steps:
            return OwnSteps(self._optimizers, plan, max(1, steps), self._squeeze.per_epoch)

        def control(optimizers: Any) -> Control:
            return Control(
                optimizers,
                plan=plan,
                total=max(1, steps),
                per_epoch=self._squeeze.per_epoch,
                accumulate=self._accumulate,
                scaler=self._scaler,
                zero=self._zero,
                foreign="raise",
                remind=False,
            )

        return Drive(self._optimizers, control, self._zero, self._apart)

    def _shape(self) -> list[Any]:
        """The parameters of the model and the optimizers, by identity and form."""
        every = [
            *self._model.parameters(),
            *(p for optimizer in self._optimizers.values() for p in parameters(optimizer)),
        ]
        return [(id(p), tuple(p.shape), p.dtype, p.device) for p in every]

    def _check(self, run: LoopRun, before: list[Any]) -> None:
        """Raise where the loop has not done what a short run needs."""
        if not run.over and not run.taken:
            raise RuntimeError("no batch of a short run was taken; train on those it gives: for batch in run.batches()")
        if not run.over:
            raise RuntimeError(
                f"a short run was left after {run.taken} batches, before its end; go through all of run.batches(), "
                "which ends by itself"
            )
        if self._shape() != before:
            raise RuntimeError(f"the loop replaced, added or converted parameters in a short run; {MODEL}")
        if run.first is not None:
            mark = mark_of(run.first)
            if self._first is None:
                self._first = mark
            elif not alike(self._first, mark):
                self._race.remark = "the loader gave other batches to each run, and noise decides with them"


def _check_not_lent(optimizers: Iterable[Any]) -> None:
    """Raise RuntimeError where an optimizer is in another search: each would put back what the other has written."""
    if any(map(on_loan, optimizers)):
        raise RuntimeError(LENT)


def _check_around(**words: Any) -> None:
    """Raise ValueError where the search in a whole range was asked for beside the one around a rate."""
    parameters = inspect.signature(RateSearch).parameters
    for name, value in words.items():
        if value != parameters[name].default:
            raise ValueError(_check.message(name, value, "left out beside around, which says where to look"))


def _agreed_time() -> float:
    """Seconds on a clock that all processes which train together agree on."""
    return mean_of_each([time.perf_counter()])[0]
