"""What every Python client here does: four threads, one short transaction after the other, counted."""

import json
import sys
import threading
import time
from collections import Counter

THREADS = 4
PAUSE_SECONDS = 0.02


def run(transact):
    """Calls transact() until standard input ends, and prints what became of it."""
    stopping = threading.Event()
    started = threading.Barrier(THREADS + 1)
    lock = threading.Lock()
    tally = {"done": 0, "failed": 0}
    errors = Counter()

    def work():
        first = True
        while not stopping.is_set():
            try:
                transact()
                with lock:
                    tally["done"] += 1
                if first:
                    first = False
                    started.wait()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                with lock:
                    tally["failed"] += 1
                    errors[f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"] += 1
                time.sleep(0.1)
            time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    started.wait(timeout=30)
    print("ready", flush=True)
    sys.stdin.read()
    stopping.set()
    for thread in threads:
        thread.join(timeout=10)
    print(json.dumps({**tally, "errors": errors}), flush=True)
