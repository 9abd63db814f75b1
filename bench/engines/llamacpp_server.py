"""llama.cpp's own HTTP server, started by the Python bindings of xllamacpp: `python llamacpp_server.py MODEL PORT`."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Serve until a signal comes."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = sys.argv[1]
    parameters.hostnames, parameters.port = ["127.0.0.1"], int(sys.argv[2])
    parameters.n_ctx, parameters.n_parallel, parameters.n_gpu_layers, parameters.verbosity = 16 * 256, 16, 0, 0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 2
    server = xllamacpp.Server(parameters)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    main()
