"""A loop of the process's own, on a daemon thread: who sends from synchronous code keeps its connections."""

from __future__ import annotations

import asyncio
import threading


class OwnLoop:
    """Starts its thread on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, if it has been started."""
        return self._loop

    def start(self) -> asyncio.AbstractEventLoop:
        """Return the loop, running."""
        with self._lock:
            if self._loop is None:
                started = threading.Event()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop, started), name="realtime-gateway-layer", daemon=True
                )
                self._thread.start()
                started.wait()
            return self._loop

    def stop(self) -> None:
        """End the thread, which closes the loop, and wait for it; call it from another thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def stop_soon(self) -> None:
        """As ``stop``, from any thread and without waiting."""
        with self._lock:
            loop, self._loop, self._thread = self._loop, None, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        loop.call_soon(started.set)
        try:
            loop.run_forever()
        finally:
            loop.close()
