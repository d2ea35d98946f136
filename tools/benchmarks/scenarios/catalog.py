# SPDX-License-Identifier: MIT
"""The scenarios: what the clients do and when which backend misbehaves; eight, and harder ones in which nobody fails.

A healthy backend takes 5 ms of work for a request on average, so eight of them manage 1,600 requests a second. Work is
gamma-distributed. With shape 1, the exponential distribution, one request in a hundred takes 4.6 times the mean on any
backend, and the 99th percentile says more about the work than about who shared it out; with shape 4 it is 2.5 times."""
import random
from dataclasses import dataclass
from typing import Callable

BACKENDS = 8
WORK_MS = 5
WORK_SHAPE = 4
# Three of a quarter, three of a half and two of the whole speed: capacities 1:2:4.
SPEEDS = [0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 1, 1]


@dataclass
class Scenario:
    key: str
    title: str
    rate: int  # requests a second
    # Of the length in seconds: lines for bench_backends --at, and options of bench_load.
    timetable: Callable[[float], list] = lambda length: []
    load: Callable[[float], list] = lambda length: []
    # Of p99 against the best peer, and of errors against the fewest among the peers.
    p99_target: float = 1.05
    errors_target: float = 1.0
    detail: str = ""  # what the title leaves out
    balancers: int = 1  # of the contender, side by side; a client's address says which one it goes to


def _fault(length):
    """When a fault begins: late enough for every strategy to know its backends."""
    return round(0.15 * length, 2)


def _flaps(length):
    lines, up, at = [], True, 2.0
    while at < length:
        lines.append(f"{at} 0 {'down' if up else 'up'}")
        up, at = not up, at + 2
    return lines


def _crowd(length):
    return ["--crowd-from", 0.4 * length, "--crowd-to", 0.6 * length, "--crowd-factor", 3]


def _varying(variation):
    return lambda length: ["--work-variation", variation]


def _slow(*slownesses):
    """From the start, so many times as slow, backend by backend."""
    return lambda length: [f"0 {i} slow {slowness}" for i, slowness in enumerate(slownesses)]


def _in_turn(group):
    """Backends, so many together, are at their full speed, half or a quarter of it, for half a second to five each."""
    def timetable(length):
        drawn, lines = random.Random(group), []
        for first in range(0, BACKENDS, group):
            at = 0.0
            while at < length:
                slowness = drawn.choice([1, 2, 4])
                lines += [f"{at:.2f} {i} slow {slowness}" for i in range(first, first + group)]
                at += drawn.uniform(0.5, 5)
        return lines
    return timetable


def _hundreds(length):
    return ["--work-variation", 1, "--session-rate", 7, "--session-requests", 100, "--busy-share", 1]


EIGHT = [
    Scenario("a", "one is 10x slow", 1000, lambda length: [f"{_fault(length)} 0 slow 10"], p99_target=0.95),
    Scenario("b", "one hangs after accept", 1000, lambda length: [f"{_fault(length)} 0 hang"]),
    Scenario("c", "one resets in 1 ms", 1000, lambda length: [f"{_fault(length)} 0 reset"], errors_target=1 / 20),
    Scenario("d", "one goes down and recovers", 1000,
             lambda length: [f"{_fault(length)} 0 down", f"{0.5 * length} 0 up"], detail="is back after half the run"),
    Scenario("e", "capacities 1:2:4", 550,
             lambda length: [f"0 {i} slow {1 / speed}" for i, speed in enumerate(SPEEDS)], p99_target=0.9,
             detail="three, three and two backends; all weights are equal; 65 % load"),
    Scenario("f", "long sessions among short requests", 550,
             load=lambda length: ["--session-rate", 10, "--session-length", 5, "--busy-share", 0.25],
             detail="10 new ones a second; one in four asks again after 20 ms, others 500 ms"),
    Scenario("g", "one flaps every 2 s", 1000, _flaps),
    Scenario("h", "a flash crowd", 500, load=_crowd,
             detail="31 % load, then 94 % for a fifth of the run"),
]

EQUALS, UNEQUAL = 1.02, 0.95  # of p99 against the best peer

HARDER = [
    Scenario("i", "equal backends, work of variation 0.5", 960, load=_varying(0.5), p99_target=EQUALS),
    Scenario("j", "equal backends, work of variation 1", 960, load=_varying(1), p99_target=EQUALS),
    Scenario("k", "equal backends, work of variation 2", 960, load=_varying(2), p99_target=EQUALS),
    Scenario("l", "equal backends, work of variation 5", 960, load=_varying(5), p99_target=2),
    Scenario("m", "one is 3x slow", 880, _slow(3), _varying(1), UNEQUAL, detail="60 % load"),
    Scenario("n", "two classes of hardware", 720, _slow(2, 2, 2, 2), _varying(1), UNEQUAL,
             detail="four are 2x slow; 60 % load"),
    Scenario("o", "each at full, half or a quarter of its speed in turn", 560, _in_turn(1), _varying(1), UNEQUAL,
             detail="for 0.5 to 5 s; 60 % load"),
    Scenario("p", "the same, four together", 560, _in_turn(4), _varying(1), UNEQUAL),
    Scenario("q", "sparse", 16, load=_varying(1), p99_target=EQUALS, detail="two requests a second for each backend"),
    Scenario("r", "connections of a hundred requests, two turn 3x slow", 200,
             lambda length: [f"{length / 2:g} {i} slow 3" for i in range(2)], _hundreds, UNEQUAL,
             detail="at half of the run, beside connections of one request"),
    Scenario("s", "90 % load", 1440, load=_varying(1), p99_target=EQUALS),
    Scenario("t", "120 % load", 1920, load=_varying(1), p99_target=EQUALS, detail="a request waits for up to 3 s"),
    Scenario("u", "four balancers", 960, load=_varying(1), p99_target=EQUALS, balancers=4),
]
ALL = EIGHT + HARDER
BY_KEY = {scenario.key: scenario for scenario in ALL}
