"""Day 2: change the configuration of a running network function without a new pod.

`reload.agent` runs beside the daemon (wrapper or sidecar, standard library only); the rest runs in the config-reload
function, and in placement through `reload.apply`.
"""
