"""What keeps the processors busy, for benchmarks that compare programs in turn."""

import os
import time

TICKS = os.sysconf("SC_CLK_TCK")
MAX_WAIT_SECONDS = 60


def busy_ticks():
    """Ticks that all processors spent on processes and interrupts."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return user + nice + system + irq + softirq + steal


def process_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_until_quiet(max_others):
    """Until all processes together leave that much, or for MAX_WAIT_SECONDS."""
    end = time.monotonic() + MAX_WAIT_SECONDS
    while max_others < os.cpu_count() and time.monotonic() < end:
        busy, since = busy_ticks(), time.monotonic()
        time.sleep(0.5)
        if (busy_ticks() - busy) / TICKS / (time.monotonic() - since) <= max_others:
            break
