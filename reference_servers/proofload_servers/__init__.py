"""Reference model servers, as a good team would run them in production. Programs: nothing imports them.

What holds for every one of them from its first moment stands here, because this is what `python -m proofload_servers.X`
runs first.
"""

import os

# ONNX Runtime's Linux packages (1.29 and later) report to their maker unless told otherwise before they are imported:
# a thread, a database below ~/.cache and traffic, in the middle of a measurement and without having asked anyone.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# To a container's first process the kernel delivers no signal it has no handler for. Until the server has set its own,
# which is when it has imported everything and found its broker, a stop would otherwise have to wait for the kill.
if os.getpid() == 1:
    import signal

    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
