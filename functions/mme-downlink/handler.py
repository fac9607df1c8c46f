from mme.function import serve

handle = serve("mme-downlink")
