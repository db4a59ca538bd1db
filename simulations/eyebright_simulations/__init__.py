"""The whole network on one machine: cohorts, partition, network, report."""
