"""Feedback: controllers that look at the loss and answer with a factor of the learning rate."""

from stepsize.control.feedback._greedy import greedy as greedy
from stepsize.control.feedback._noisy_plateau import noisy_plateau as noisy_plateau
from stepsize.control.feedback._plateau import plateau as plateau
from stepsize.control.feedback._protocol import Decision as Decision
from stepsize.control.feedback._protocol import Feedback as Feedback
from stepsize.control.feedback._protocol import Observation as Observation
from stepsize.control.feedback._steering import Steering as Steering
from stepsize.control.feedback._steering import as_feedback as as_feedback
from stepsize.control.feedback._steering import several_processes as several_processes
