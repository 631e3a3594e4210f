"""How the resolver refuses."""


class Failed(Exception):
    """A request that can't be met: which step refused, what it said, and of which package."""

    def __init__(self, step, message, package=None):
        super().__init__(message)
        self.step = step
        self.package = package
