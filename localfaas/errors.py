"""Errors of localfaas.

LocalfaasError: anything a person can mend; str(e) is one line that says what to do next.
  StackError      stack.yml, template or handler folder is not usable
  StartError      a port is taken, a function does not become ready, a secret is missing
  NotRunningError      no gateway is found in the state directory
QueueError      the broker refuses a message; str(e) is OpenFaaS's own text
"""


class LocalfaasError(Exception):
    """Something a person can mend; the text is one line with the cure."""


class StackError(LocalfaasError):
    """stack.yml, a template or a handler folder is not usable."""


class StartError(LocalfaasError):
    """The gateway or a function cannot start."""


class NotRunningError(LocalfaasError):
    """No gateway is found in the state directory."""


class QueueError(Exception):
    """The broker refuses a message. The text is what OpenFaaS puts after "Error queuing request: "."""
