"""The dashboard before a million tasks: opening, filtering and scrolling the list, and memory while tasks change.

    python -m bench.dashboard [--tasks 1000000] [--minutes 5] [--changes 200]

Needs Debian's Chromium and a built dashboard (`make web`). Times are taken in the page, from the click or the
navigation until the row that was asked for is in the document; long tasks are those of the browser's own observer.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.live import KEY, Server, server, wait_until
from tests.rig.browser import BUILT, Look, Visitor, chromium, visitor

from bench import rig

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

CHUNK: Final = 50_000
FINISHED: Final = 20_000
FAILED: Final = 2_000
REPEATS: Final = 5
WHEEL_TURNS: Final = 150
MOST_MS: Final = 1_000
LONG_MS: Final = 50
CHANGES_OF_A_TASK: Final = 3
"""Queued, running, completed."""
HEAP_EVERY_S: Final = 15
MOST_GROWTH: Final = 1.2

WATCH: Final = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => window.longTasks.push(duration)))
    .observe({ entryTypes: ['longtask'] });
  window.frames_ = [];
  let last = performance.now();
  const tick = (now) => { window.frames_.push(now - last); last = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}"""
UNTIL_ROW: Final = """async (isWanted) => {
  const test = new Function('row', 'return ' + isWanted);
  const began = performance.now();
  for (;;) {
    const row = document.querySelector('.ant-table-row');
    if (row && test(row)) return performance.now() - began;
    await new Promise((next) => requestAnimationFrame(next));
  }
}"""


def fill(running: Server, total: int) -> None:
    """Finished, failed and a great many queued tasks."""
    for name, config in {"drain": {}, "broken": {"errors": [{"every": 1, "code": "invalid_request"}]}}.items():
        running.add_model(name, max_workers=512, config=config, retry={"max_retries": 0})
    running.add_model("million")
    running.call("POST", "/api/v1/models/million/pause")
    running.bulk([{"model": "drain", "input": "Hi", "metadata": {"run": "seven"}}] * FINISHED)
    running.bulk([{"model": "broken", "input": "Hi", "priority": 9}] * FAILED)
    wait_until("the first ones are over", lambda: running.counts().get("failed", 0) >= FAILED, 300, 0.5)
    began = time.perf_counter()
    for _ in range(total // CHUNK):
        running.bulk([{"model": "million", "input": "Hi"}] * CHUNK)
    print(f"filled at {total / (time.perf_counter() - began):,.0f} tasks/s")


def opening(who: Visitor) -> float:
    """Milliseconds from the navigation to the first row."""
    who.open("/tasks")
    who.page.wait_for_selector(".ant-table-row")
    return who.page.evaluate("() => performance.now()")


def filtering(who: Visitor, status: str, is_wanted: str) -> float:
    """Milliseconds from a click on a status to a row of it."""
    button = who.page.get_by_role("button", name=who.words(f"status.{status}")).first
    handle = button.element_handle()
    assert handle is not None
    handle.evaluate("(one) => one.click()")
    return who.page.evaluate(UNTIL_ROW, is_wanted)


def narrowing(who: Visitor, query: str, is_wanted: str) -> float:
    """Milliseconds from an address with a filter to its first row, the page's own start included."""
    who.open(f"/tasks?{query}")
    who.page.evaluate(UNTIL_ROW, is_wanted)
    return who.page.evaluate("() => performance.now()")


def scrolling(who: Visitor) -> tuple[int, float, float, int]:
    """(long tasks, longest task ms, 95 % of frames within ms, rows loaded) while the list is scrolled."""
    who.open("/tasks")
    who.page.wait_for_selector(".ant-table-row")
    who.page.wait_for_timeout(1_500)
    who.page.evaluate(WATCH)
    who.page.locator(".ant-table-tbody-virtual-holder").hover()
    for _ in range(WHEEL_TURNS):
        who.page.mouse.wheel(0, 240)
        who.page.wait_for_timeout(16)
    long: list[float] = who.page.evaluate("() => window.longTasks")
    frames: list[float] = who.page.evaluate("() => window.frames_")
    first = who.page.locator(".ant-table-row").first.get_attribute("data-row-key")
    print(f"  scrolled down to task {first}")
    return len(long), max(long, default=0), rig.percentile(frames, 0.95), len(frames)


def heap_mb(cdp: CDPSession) -> float:
    """Used megabytes of JavaScript after a collection."""
    cdp.send("HeapProfiler.collectGarbage")
    return cdp.send("Runtime.getHeapUsage")["usedSize"] / 2**20


class Churn:
    """Tasks that come and go at a steady pace."""

    def __init__(self, running: Server, changes: float) -> None:
        self._running, self._a_second = running, max(1, round(changes / CHANGES_OF_A_TASK))
        self._ends, self.sent = threading.Event(), 0
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def _drive(self) -> None:
        due = time.monotonic()
        while not self._ends.wait(max(0.0, due - time.monotonic())):
            self._running.bulk([{"model": "drain", "input": "Hi"}] * self._a_second)
            self.sent += self._a_second
            due += 1

    def stop(self) -> None:
        self._ends.set()
        self._thread.join(30)


def memory(who: Visitor, running: Server, minutes: float, changes: float) -> None:
    """Leave the list open while tasks change, and print the heap."""
    who.open("/tasks")
    who.page.wait_for_selector(".ant-table-row")
    cdp = who.page.context.new_cdp_session(who.page)
    churn = Churn(running, changes)
    began = time.perf_counter()
    heaps: list[float] = []
    try:
        who.page.evaluate(WATCH)
        while time.perf_counter() - began < minutes * 60:
            who.page.wait_for_timeout(HEAP_EVERY_S * 1000)
            heaps.append(heap_mb(cdp))
            who.page.evaluate("() => { window.frames_.length = 0; }")
    finally:
        churn.stop()
    took = time.perf_counter() - began
    reached = churn.sent * CHANGES_OF_A_TASK / took
    third = max(1, len(heaps) // 3)
    growth = rig.median(heaps[-third:]) / rig.median(heaps[:third])
    nodes = who.page.evaluate("() => document.querySelectorAll('*').length")
    long: list[float] = who.page.evaluate("() => window.longTasks")
    print(f"heap in MB each {HEAP_EVERY_S} s: {' '.join(f'{one:.1f}' for one in heaps)}")
    print(f"{reached:.0f} changes/s for {took / 60:.1f} min; {nodes} elements; {len(long)} tasks over {LONG_MS} ms")
    rig.verdict("heap, last third against first", f"{growth:.2f} x", f"<= {MOST_GROWTH} x", growth <= MOST_GROWTH)


def measure(who: Visitor, running: Server, options: argparse.Namespace) -> None:
    opened = [opening(who) for _ in range(REPEATS)]
    told("Tasks opens, page and first row (median)", rig.median(opened))
    is_of: dict[str, Any] = {
        "failed": "row.innerText.includes('Failed')",
        "completed": "row.innerText.includes('Completed')",
        "queued": "row.innerText.includes('Queued')",
    }
    took: dict[str, list[float]] = {status: [] for status in is_of}
    for _ in range(REPEATS):
        for status, is_wanted in is_of.items():
            took[status].append(filtering(who, status, is_wanted))
            who.page.wait_for_timeout(300)
    for status, values in took.items():
        told(f"filter by status {status} (median)", rig.median(values))
    for query, is_wanted in {
        "model=broken": "row.innerText.includes('broken')",
        "priority=low&model=broken": "row.innerText.includes('broken')",
        "metadata=run%3Dseven": "row.innerText.includes('drain')",
        "created=30d": "true",
    }.items():
        told(f"opens with {query}", rig.median([narrowing(who, query, is_wanted) for _ in range(3)]))
    long, longest, frame, frames = scrolling(who)
    rig.verdict(
        "scrolling: tasks over 50 ms", f"{long}, longest {longest:.0f} ms", "longest <= 100 ms", longest <= 2 * LONG_MS
    )
    print(f"  {frames} frames, 95 % within {frame:.0f} ms")
    memory(who, running, options.minutes, options.changes)


def told(name: str, value: float) -> None:
    rig.verdict(name, f"{value:.0f} ms", f"<= {MOST_MS} ms", value <= MOST_MS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--changes", type=float, default=200.0, help="a second, while memory is watched")
    options = parser.parse_args()
    assert BUILT.exists(), "the dashboard is not built: make web"
    print(rig.machine())
    with tempfile.TemporaryDirectory(prefix="llms-bench-") as folder, server(Path(folder)) as running:
        fill(running, options.tasks)
        url = str(running.http.base_url).rstrip("/")
        with chromium() as browser, visitor(browser, url, Look()) as who:
            who.sign_in_by_key(KEY)
            measure(who, running, options)
            print("\n".join(who.watch.faults) or "no errors in the console")


if __name__ == "__main__":
    main()
