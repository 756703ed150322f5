"""The layout of a run's folder: the names of its files, and the versions of their formats. Their only place."""

RUN = "run.json"  # facts: settings, progress, status
METRICS = "metrics.jsonl"  # a line for each step that was looked at
VALIDATION = "validation.jsonl"  # a line for each validation
EVENTS = "events.jsonl"  # a line for each change by hand, decision of feedback, foreign write
TRIALS = "trials.jsonl"  # a line for each short run while a rate is looked for
FINDING = "finding.json"  # how the rate was found
PLANS = "plans.json"  # how the plan was found
LAST, BEST = "last.pt", "best.pt"  # checkpoints
PICTURE = "picture.png"
REPORT = "report.html"

FORMAT = 2  # of run.json; one without a format is of stepsize 0.1. Lines of formats 1 and 2 may lack a position
RUNNING = "running"  # the status of a run that a process is at, or was when it was killed
