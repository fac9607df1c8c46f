from placement.function import serve

handle = serve()
