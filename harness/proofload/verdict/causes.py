"""Causes that a failed check can name: one closed list, each with what it means and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """A diagnosis. `meaning` completes "…: <meaning>."; `remedy` is the next step."""

    code: str
    meaning: str
    remedy: str


_ALL = (
    # any load
    Cause(
        "dies-under-load",
        "it dies under load",
        "read the end of its log, and bound what load makes it hold (connections, queues, memory), or mend the crash",
    ),
    # limits
    Cause(
        "out-of-memory",
        "it was killed when it reached its memory limit",
        "find what fills it (`proofload run soak` tells how fast it grows), or raise the limit",
    ),
    Cause(
        "cpu-throttled",
        "its CPU limit stops it again and again while work waits",
        "raise the limit, or run no more threads than it allows: several at once use up in a part of each scheduler "
        "period what is meant for all of it",
    ),
    Cause(
        "restarts-under-load",
        "its container ends under load and is started again",
        "read the end of its log and its exit status (`docker inspect`)",
    ),
    # soak
    Cause(
        "memory-leak",
        "its memory grows, and no end of it was seen",
        "take heap profiles some minutes apart (tracemalloc, memray) and compare what grew",
    ),
    Cause("fd-leak", "open file descriptors pile up", "list /proc/PID/fd: what repeats is opened and not closed"),
    Cause(
        "thread-leak",
        "threads pile up",
        "dump the stacks (py-spy dump): threads that wait for ever were started per request",
    ),
    Cause(
        "process-leak",
        "processes pile up",
        "list its children (`ps --ppid PID -o pid,stat,args`): they were started per request and never ended, or ended "
        "and were never waited for (stat Z)",
    ),
    Cause(
        "socket-leak",
        "sockets pile up that no client holds",
        "look at `ss -tnp` for the peer they lead to; close or reuse clients",
    ),
    Cause(
        "gpu-memory-leak",
        "memory allocated on the accelerator grows",
        "release tensors and I/O bindings; limit the arena",
    ),
    Cause("disk-growth", "files it writes grow without end", "rotate logs; remove temporary files"),
    Cause(
        "latency-creep",
        "answers get slower as the process ages",
        "profile a fresh and an old process under the same load",
    ),
    Cause(
        "errors-grow",
        "failures become more frequent as the process ages",
        "look at the errors table for what fails late in the run",
    ),
    # peak
    Cause(
        "unbounded-queue",
        "work queues without bound instead of being refused",
        "bound the queue at about deadline × capacity and refuse the rest with 429 or 503",
    ),
    Cause(
        "zombie-work",
        "it computes answers that nobody waits for any more",
        "carry the client's deadline and drop expired work before computing it",
    ),
    Cause(
        "blocked-event-loop",
        "work on the event loop keeps it from answering anything else",
        "move inference off the loop: an executor or processes",
    ),
    Cause(
        "full-queue-blocks",
        "when its queue is full it makes callers wait instead of refusing",
        "refuse at once when the queue is full",
    ),
    Cause(
        "oversubscribed-threads",
        "more runnable threads than cores fight for the CPU",
        "set intra-op threads × workers to the cores at hand",
    ),
    Cause(
        "static-batching",
        "requests wait for a batch to fill, so light load is slow",
        "bound the batching delay, or let it adapt to the load",
    ),
    Cause(
        "retry-storm",
        "retries keep it overloaded after the peak has passed",
        "retry with a budget, exponential backoff and jitter",
    ),
    Cause("overload-collapse", "overload cuts what it completes in time", "refuse early what cannot be served in time"),
    Cause(
        "slow-refusals", "its refusals come too late to be of use", "decide about admission before parsing and queueing"
    ),
    # cold start
    Cause(
        "false-ready",
        "it says ready before it can answer correctly",
        "let readiness follow one successful prediction per worker",
    ),
    Cause(
        "lazy-load",
        "the first request that each worker gets loads the model",
        "load the model before the worker accepts",
    ),
    Cause(
        "no-warm-up",
        "the first requests are slow until it is warm",
        "run typical inputs through the model before reporting ready",
    ),
    Cause(
        "slow-load", "it takes longer to get ready than allowed", "bake the model in, shrink it, or load it in parallel"
    ),
    Cause(
        "dies-at-start",
        "some of its instances end before they are ready",
        "read the end of its log: a lock, port or file left by the instance before, or too little memory",
    ),
    Cause(
        "scale-out-errors", "requests fail while a second instance joins", "route to an instance only once it is ready"
    ),
    # rollouts
    Cause("canary-errors", "the canary fails more often", "look at the canary's errors in the table"),
    Cause("canary-slower", "the canary is slower", "compare profiles of both versions under the same load"),
    Cause(
        "canary-slow-tail",
        "some of the canary's answers are much slower",
        "look for what only some requests do: cache misses, retries, collections",
    ),
    Cause(
        "wrong-predictions", "the canary predicts differently", "compare model files and preprocessing of both versions"
    ),
    Cause(
        "wrong-version",
        "answers are stamped with another version than the one deployed",
        "check what the build put into the label, and that the rollout reached every instance",
    ),
    Cause(
        "unstable-assignment",
        "users change sides during the rollout",
        "hash a stable user id with a fixed salt, the same in every process",
    ),
    Cause("split-mismatch", "the traffic was not split as asked", "check the router's weights and its hash key"),
    Cause(
        "dropped-in-flight",
        "requests in flight were lost when a version was stopped",
        "on SIGTERM stop accepting, finish what is there, then exit",
    ),
    Cause(
        "mirroring-harms-users",
        "users are served worse while their requests are mirrored",
        "give the shadow resources of its own, send copies from a queue that may drop them, mirror a smaller share",
    ),
    Cause("canary-down", "the canary stopped answering", "look at the end of its log"),
    # skew
    Cause("unit", "a feature is scaled by a constant factor", "agree on the unit in the feature's definition"),
    Cause("timezone", "a time feature is shifted by whole hours", "compute times in UTC in both pipelines"),
    Cause(
        "null-handling",
        "missing values are filled in one pipeline only",
        "carry missing as missing, with the same imputation in both",
    ),
    Cause("category-encoding", "categories are encoded differently", "ship the encoder with the model"),
    Cause("rounding", "values are rounded in one pipeline", "keep full precision, or round in both"),
    Cause(
        "staleness",
        "features are older at serving time than in training",
        "bound the age of a feature, and join training data as of the event's time",
    ),
    Cause("type", "a feature has another type", "pin the schema, and check it at load"),
    Cause(
        "cache-key-collision",
        "different inputs share one cached answer",
        "key the cache by feature name and value, in order, with the model's version",
    ),
    Cause(
        "cross-talk",
        "under concurrency answers go to the wrong callers",
        "keep the order of a batch's answers, and test it under load",
    ),
    Cause("schema-mismatch", "serving and model disagree on the schema", "deploy features and model as one version"),
    Cause(
        "prediction-mismatch", "the same features give another prediction", "compare the model files and their runtimes"
    ),
    Cause(
        "drift",
        "a feature's distribution differs from the reference",
        "find out whether the world or the pipeline changed; retrain or mend",
    ),
    Cause("missing-rows", "rows that should be served are not", "look for requests that never reached the log"),
    Cause("duplicate-rows", "ids occur more than once", "make ids unique per request"),
    # streams
    Cause(
        "lost-messages",
        "messages were taken and never answered",
        "commit an offset only after its work is done and its answer is delivered",
    ),
    Cause(
        "duplicated-messages", "messages were answered more than once", "make the work idempotent, or use transactions"
    ),
    Cause(
        "reordered-messages",
        "answers of one key came out of order",
        "keep one key on one partition, and one worker per partition at a time",
    ),
)

CAUSES = {cause.code: cause for cause in _ALL}
