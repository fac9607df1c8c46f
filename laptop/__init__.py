"""The whole system on one machine: localfaas with the functions of stack.yml, an embedded store, the ticker.

`python -m laptop up` runs it in the foreground (`make up`), `python -m laptop demo` shows it off (`make demo`).
"""
