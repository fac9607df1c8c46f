"""An OpenFaaS-CE-compatible gateway in one process, for laptops and tests.

Functions of a stack.yml run as processes of the committed template; gateway, provider, queue-worker and alert handler
answer as the real ones do (OpenFaaS gateway 0.27, faas-netes, nats-queue-worker, of-watchdog). "contract section N" in
this package means the section of that behaviour's description; docs/localfaas.md lists where we deviate on purpose.

`localfaas.process.running()` starts it for a test, `localfaas.gateway.Gateway` embeds it in a running event loop.
"""

VERSION = "0.27.5-localfaas"
"""What X-Served-By and /system/info report: the gateway whose behaviour this is."""
