"""Wakes the event loop at an absolute instant of the monotonic clock.

Event loops round their timers to milliseconds; a schedule needs microseconds. On Linux a timerfd
with an absolute time does that; elsewhere the loop's own timer, rounded down, has to do.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

from proofload.clock import NS_PER_S

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000
_TFD_TIMER_ABSTIME = 1
_PR_SET_TIMERSLACK = 29


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class AbsoluteTimer:
    """Calls `wake` on the loop once for each `arm`, at or after the instant."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._loop = loop
        self._wake = wake
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
            if self._fd < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create failed")
            self._spec = _TimerSpec()
            self._spec_ref = ctypes.byref(self._spec)
            loop.add_reader(self._fd, wake)

    def arm(self, at_ns: int) -> None:
        """Wake at `at_ns` (monotonic). Arming again replaces the earlier instant."""
        if self._fd >= 0:
            value = self._spec.value
            value.seconds, value.nanoseconds = divmod(at_ns, NS_PER_S)
            self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, self._spec_ref, None)
            return
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(at_ns / NS_PER_S, self._wake)

    def disarm(self) -> None:
        """No further wake until armed again."""
        if self._fd >= 0:
            value = self._spec.value
            value.seconds = value.nanoseconds = 0
            self._libc.timerfd_settime(self._fd, 0, self._spec_ref, None)
        elif self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def close(self) -> None:
        self.disarm()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
