"""What is wrong with a run, how far its rate is off, and what to do: rules over records."""

from stepsize.diagnosis._diagnose import diagnose as diagnose
from stepsize.diagnosis._seen import Seen as Seen
from stepsize.diagnosis._seen import Series as Series
from stepsize.diagnosis._suspicion import is_suspicious as is_suspicious
from stepsize.diagnosis._suspicion import median_curvature as median_curvature
from stepsize.diagnosis._symptom import SEVERITIES as SEVERITIES
from stepsize.diagnosis._symptom import Symptom as Symptom
from stepsize.diagnosis.rules import RULES as RULES
from stepsize.diagnosis.rules import Rule as Rule

__all__ = ["RULES", "SEVERITIES", "Rule", "Seen", "Series", "Symptom", "diagnose", "is_suspicious", "median_curvature"]
