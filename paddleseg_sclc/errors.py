"""The errors that reach a user: one line that says where, what was expected and what to do."""


class SclcError(Exception):
    """Something is wrong with the data. A tool prints the message and exits with 1.

    The message reads `<where>: <what> must be <constraint>, got <value>; <remedy>`.
    """

    exit_code = 1


class UsageError(SclcError):
    """Something is wrong with the command line or a config. A tool exits with 2."""

    exit_code = 2


class TissueError(SclcError):
    """An image shows too little stained tissue for what was asked of it."""
