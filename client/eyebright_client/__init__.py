"""The hospital: what the data engineer approves, what the round trains, and what is known to have left the building.

Rooms: ``app`` (the Flower ClientApp), ``policy`` (what the hospital agrees to), ``audit`` (what crossed its border).
"""
