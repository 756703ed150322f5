"""What is consumed of the clock in a second: steps, or samples or tokens where the clock counts these.

Formula: (position - position of the step looked at before) / seconds between. Missing at the first step. Cost: free;
where the device works ahead of the program it is right over many steps only.
"""

from stepsize.control.signals._pace import pace
from stepsize.control.signals._signal import Signal

throughput = Signal("throughput", pace, cost="free")
"""Per second, > 0."""
