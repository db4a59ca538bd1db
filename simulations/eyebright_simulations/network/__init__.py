"""The whole network, stage by stage: cohort, teacher, rounds, comparison, release, unit, report."""
