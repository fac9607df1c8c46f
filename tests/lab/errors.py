"""What goes wrong in the lab, said with what to do about it."""


class LabError(Exception):
    """A sentence saying what failed and what to do next; the command line prints it and ends with 1."""
