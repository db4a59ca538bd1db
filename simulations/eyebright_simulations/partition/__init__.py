"""Who holds which patient: patients (with their near-duplicate cluster) dealt out to the operator and the hospitals."""

from eyebright_simulations.partition.deal import OPERATOR, Partition, check_method, deal

__all__ = ["OPERATOR", "Partition", "check_method", "deal"]
