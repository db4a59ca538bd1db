"""The one way in which the worker says no: a fixed word and a sentence."""


class Failure(Exception):
    """A request could not be done.

    Args:
        word: Fixed, e.g. ``no-device``; the unit's side has a sentence and an advice for each.
        message: What was found, for a person.
    """

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.word = word
        self.message = message
