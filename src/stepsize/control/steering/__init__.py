"""Steering a running job: commands in a folder, their checks, what became of them."""

from stepsize.control.steering._about import About as About
from stepsize.control.steering._about import Begun as Begun
from stepsize.control.steering._command import LARGEST as LARGEST
from stepsize.control.steering._command import VERBS as VERBS
from stepsize.control.steering._command import Command as Command
from stepsize.control.steering._commands import STATE as STATE
from stepsize.control.steering._commands import Commands as Commands
from stepsize.control.steering._ledger import Due as Due
from stepsize.control.steering._steer import Sent as Sent
from stepsize.control.steering._steer import Steer as Steer
from stepsize.control.steering._trail import DONE as DONE
from stepsize.control.steering._trail import REFUSED as REFUSED
from stepsize.control.steering._trail import TAKEN as TAKEN
from stepsize.control.steering._trail import Answer as Answer
from stepsize.control.steering._trail import latest as latest
from stepsize.control.steering._trail import read_answers as read_answers
