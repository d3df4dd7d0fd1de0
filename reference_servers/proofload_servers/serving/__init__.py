"""The core that all reference servers share: one model, one queue, one batching thread, one set of metrics.

A front end does four things:

    settings = Settings.of(arguments("my_server", "what it is").parse_args())
    service = Service.start(settings)      # StartupError: print it, exit 2. Loads and warms in the background.
    service.wait_ready(timeout_s=60)       # or serve health at once and poll service.state
    future = service.submit(request, deadline_ns=deadline_from_ms(250), request_id="abc")
    ...
    service.begin_drain()                  # on SIGTERM: state becomes "draining", health says not ready
    service.drain(timeout_s=30)            # waits for what is in flight, then stops the thread

`submit` and `submit_many` raise InvalidInput, Overloaded, NotReady or Expired at once and then cost no computation; the
future completes with an Answer, or raises Expired or Failed. Each of these is a Refusal with `status` (as in HTTP),
`code` and `message`, all safe to send to a caller. `submit_to` is the same with a callback on the batching thread in
place of a future, for front ends that cannot afford one future per request.

With a prediction cache (`cache`, off unless asked for) what the queue refuses may come through the future or callback,
too, which then run on the caller's or the cache's thread; and answers that are known overtake those that are computed.

Deadlines are absolute nanoseconds of time.monotonic_ns(); `deadline_from_ms` makes one from a relative timeout.
Request ids from outside pass through `correlation_id` first. `wire` has the JSON of requests, answers and errors;
`health` what probes and scrapes are told; `side_port` serves that on a second port where the first speaks no HTTP;
`logs` makes log lines JSON.
"""

from .answer import Answer
from .batcher import Result
from .correlation import correlation_id, deadline_from_ms
from .refusals import Expired, Failed, InvalidInput, NotReady, Overloaded, Refusal, StartupError
from .service import Service
from .settings import Settings, add_flag, add_switch, arguments

__all__ = [
    "Answer",
    "Expired",
    "Failed",
    "InvalidInput",
    "NotReady",
    "Overloaded",
    "Refusal",
    "Result",
    "Service",
    "Settings",
    "StartupError",
    "add_flag",
    "add_switch",
    "arguments",
    "correlation_id",
    "deadline_from_ms",
]
