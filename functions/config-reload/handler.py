from reload.function import serve

handle = serve("config-reload")
