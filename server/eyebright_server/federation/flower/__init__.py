"""The adapter: the only folder of the server that knows Flower (1.41, Message API).

``grid`` is a transport inside this process, ``hospitals`` turns questions into messages over any transport,
``strategies`` averages, ``engine`` runs a ServerApp here or in Flower's simulation engine. The rest of the room sees
plain values.
"""

from eyebright_server.federation.flower.engine import run_locally, run_with_ray
from eyebright_server.federation.flower.grid import LocalGrid
from eyebright_server.federation.flower.hospitals import FlowerHospitals
from eyebright_server.federation.flower.strategies import StrategyAveraging, least_hospitals

__all__ = ["FlowerHospitals", "LocalGrid", "StrategyAveraging", "least_hospitals", "run_locally", "run_with_ray"]
