"""What can go wrong in a way the user should read as one sentence."""


class StackError(Exception):
    """A failure with a message for the user; the command ends with status 1."""


class UsageError(StackError):
    """A command that makes no sense here; the command ends with status 2."""
