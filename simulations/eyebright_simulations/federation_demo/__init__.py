"""The federation on one machine, with the processes it has in earnest: ``make federation``.

``processes`` starts and ends them, ``hospitals`` makes homes and pictures, ``demo`` tells the story.
"""
