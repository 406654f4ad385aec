"""Deal the videos of a long list to a cluster that loses workers, on paper: no video is read.

    python benchmarks/simulate_cluster.py [--videos 1000000] [--workers 64] [--seed 1]

Every worker computes one video after another at its own pace: most within a tenth of the others,
a few at a third of it (stragglers: a hot machine, a busy disk). A worker is lost at random, at 1 %
an hour, and another takes its place after some minutes.

Dealt dynamically, a worker asks for the next part of the list when it is done with one. A part is
written whole: what a lost worker had done of its part is done again by whoever gets it next. Fixed
shards are dealt once; the shard of a lost worker waits for another, which resumes it video by video
from the journal, as `--shard` does.

Printed are, over several draws: the hours until the last video, the share of worker hours that is
idle at the end, that is done twice, and that goes to opening parts.
"""

import argparse
import heapq
import random
import statistics
from dataclasses import dataclass, field

DRAWS = 20


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Assumptions, all of them options."""

    videos: int
    workers: int
    seconds: float  # of a worker for a video, mean
    spread: float  # of the paces of usual workers, standard deviation of their logarithm
    stragglers: float  # share of the workers
    slowness: float  # of a straggler: times the seconds of others
    lost: float  # share of workers, per hour
    replaced: float  # seconds until another takes the place of one
    opening: float  # seconds of a worker for each part


@dataclass
class Outcome:
    """Worker seconds, and the end."""

    end: float = 0.0
    worked: float = 0.0
    twice: float = 0.0
    opened: float = 0.0
    free: list[float] = field(default_factory=list)  # when each worker had nothing left

    def shares(self) -> tuple[float, ...]:
        """Hours until the end, and percent idle at the end, done twice and spent opening."""
        total = self.end * len(self.free)
        idle = sum(self.end - free for free in self.free)
        return self.end / 3600, *(100 * part / total for part in (idle, self.twice, self.opened))


def draw_pace(cluster: Cluster, draw: random.Random) -> float:
    """Seconds of one worker for a video."""
    slow = cluster.slowness if draw.random() < cluster.stragglers else 1.0
    return cluster.seconds * slow * draw.lognormvariate(0.0, cluster.spread)


def draw_loss(cluster: Cluster, draw: random.Random, now: float) -> float:
    return now + draw.expovariate(cluster.lost / 3600) if cluster.lost else float("inf")


def deal(cluster: Cluster, part: int, draw: random.Random) -> Outcome:
    """Parts of `part` videos to whoever is free."""
    left = [part] * (cluster.videos // part)
    if rest := cluster.videos % part:
        left.append(rest)
    outcome = Outcome(free=[0.0] * cluster.workers)
    paces = [draw_pace(cluster, draw) for _ in range(cluster.workers)]
    losses = [draw_loss(cluster, draw, 0.0) for _ in range(cluster.workers)]
    ready = [(0.0, worker) for worker in range(cluster.workers)]
    returned: list[tuple[float, int]] = []  # when a part of a lost worker can be dealt, its videos
    while left or returned:
        now, worker = heapq.heappop(ready)
        if not left and returned[0][0] > now:  # nothing to do until a worker is found to be lost
            heapq.heappush(ready, (returned[0][0], worker))
            continue
        videos = heapq.heappop(returned)[1] if returned and returned[0][0] <= now else left.pop()
        end = now + cluster.opening + videos * paces[worker]
        if losses[worker] < end:
            lost = max(losses[worker], now)
            outcome.twice += max(0.0, lost - now - cluster.opening)
            heapq.heappush(returned, (lost, videos))
            end = lost + cluster.replaced
            paces[worker] = draw_pace(cluster, draw)
            losses[worker] = draw_loss(cluster, draw, end)
        else:
            outcome.opened += cluster.opening
            outcome.free[worker] = end
            outcome.end = max(outcome.end, end)
        heapq.heappush(ready, (end, worker))
    return outcome


def shard(cluster: Cluster, draw: random.Random) -> Outcome:
    """A share of the list for each worker, resumed video by video by its replacements."""
    outcome = Outcome()
    for worker in range(cluster.workers):
        left = float(len(range(worker, cluster.videos, cluster.workers)))
        now, pace = 0.0, draw_pace(cluster, draw)
        loss = draw_loss(cluster, draw, now)
        while now + cluster.opening + left * pace > loss:
            done = max(0.0, (loss - now - cluster.opening) / pace)
            outcome.twice += (done - int(done)) * pace
            left -= int(done)
            now, pace = loss + cluster.replaced, draw_pace(cluster, draw)
            loss = draw_loss(cluster, draw, now)
        outcome.opened += cluster.opening
        outcome.free.append(now + cluster.opening + left * pace)
    outcome.end = max(outcome.free)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--parts", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--spread", type=float, default=0.1)
    parser.add_argument("--stragglers", type=float, default=0.03)
    parser.add_argument("--slowness", type=float, default=3.0)
    parser.add_argument("--lost", type=float, default=0.01)
    parser.add_argument("--replaced", type=float, default=300.0)
    parser.add_argument("--opening", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = vars(parser.parse_args())
    seed, parts = asked.pop("seed"), asked.pop("parts")
    cluster = Cluster(**asked)
    print(f"{cluster.videos} videos, {cluster.workers} workers, {cluster.seconds:g} s a video")
    print("| | hours, median | worst | % idle at the end | % done twice | % opening |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = [
        (f"parts of {part}", lambda draw, part=part: deal(cluster, part, draw)) for part in parts
    ]
    for name, run in [*rows, ("fixed shards", lambda draw: shard(cluster, draw))]:
        draws = [run(random.Random(seed * 1000 + n)).shares() for n in range(DRAWS)]
        hours, *shares = zip(*draws, strict=True)
        means = " | ".join(f"{statistics.mean(share):.2f}" for share in shares)
        print(f"| {name} | {statistics.median(hours):.2f} | {max(hours):.2f} | {means} |")


if __name__ == "__main__":
    main()
