"""The rules: one pure function each, from what was seen of a run to a symptom or nothing. A new one is a line here."""

from collections.abc import Callable

from stepsize.diagnosis._seen import Seen
from stepsize.diagnosis._symptom import Symptom
from stepsize.diagnosis.rules._blind import blind_feedback
from stepsize.diagnosis.rules._cadence import stepped_per_batch, stepped_per_epoch
from stepsize.diagnosis.rules._chance import never_learnt
from stepsize.diagnosis.rules._clipping import clipping_always
from stepsize.diagnosis.rules._diverging import diverging
from stepsize.diagnosis.rules._layers import frozen, layer_far_off
from stepsize.diagnosis.rules._nonfinite import nonfinite
from stepsize.diagnosis.rules._overfitting import overfitting
from stepsize.diagnosis.rules._rate_too_high import rate_too_high
from stepsize.diagnosis.rules._rate_too_low import rate_too_low
from stepsize.diagnosis.rules._rate_zero import rate_zero
from stepsize.diagnosis.rules._resume_jump import resume_jump
from stepsize.diagnosis.rules._schedule_end import schedule_cut_off, schedule_too_short
from stepsize.diagnosis.rules._spikes import spikes
from stepsize.diagnosis.rules._warmup_missing import warmup_missing

Rule = Callable[[Seen], Symptom | None]

RULES: tuple[Rule, ...] = (
    nonfinite,
    rate_too_high,
    rate_too_low,
    warmup_missing,
    diverging,
    rate_zero,
    frozen,
    never_learnt,
    spikes,
    schedule_too_short,
    schedule_cut_off,
    stepped_per_epoch,
    stepped_per_batch,
    resume_jump,
    clipping_always,
    layer_far_off,
    overfitting,
    blind_feedback,
)
"""All rules, in the order in which their symptoms are listed within a severity."""
