import time

def run():
    finest = []
    for clock in (time.perf_counter_ns, time.time_ns, time.monotonic_ns):
        ticks = [clock() for _ in range(20_000)]
        finest.append(min((b - a for a, b in zip(ticks, ticks[1:]) if b > a), default=10**6))
    return [step >= 1_000_000 for step in finest]
