from collections import Counter

from videoswin_cli.training.plan import make_plan
from videoswin_cli.training.recipe import read_recipe
from videoswin_cli.training.sampler import ClipSampler


def test_each_epoch_is_another_permutation() -> None:
    order = ClipSampler([0] * 10, seed=1, balanced=False)
    epochs = [[order[place] for place in range(e * 10, e * 10 + 10)] for e in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    other = ClipSampler([0] * 10, seed=1, balanced=False)
    assert [other[place] for place in (25, 3, 14)] == [epochs[2][5], epochs[0][3], epochs[1][4]]
    assert [ClipSampler([0] * 10, seed=2, balanced=False)[p] for p in range(10)] != epochs[0]


def test_keys_hold_the_place_so_that_no_clip_looks_the_same_twice() -> None:
    order = ClipSampler([0, 0], seed=0, balanced=False)
    keys = order.keys(range(6))
    assert [place for _, place in keys] == list(range(6))
    assert Counter(clip for clip, _ in keys) == {0: 3, 1: 3}


def test_a_balanced_order_draws_all_classes_alike() -> None:
    labels = [0] * 900 + [1] * 90 + [2] * 10
    order = ClipSampler(labels, seed=0, balanced=True)
    drawn = Counter(labels[order[place]] for place in range(3000))
    assert all(850 < drawn[label] < 1150 for label in range(3))


def test_the_plan_is_arithmetic() -> None:
    recipe = read_recipe(
        None, ["epochs=3", "batch_size=4", "accumulate=2", "lr=1e-3", "scale_lr=true"]
    )
    plan = make_plan(recipe, train_clips=100, devices=2)
    assert plan.step_clips == 16
    assert plan.lr == 1e-3 * 16 / 64
    assert plan.steps == 19  # ceil(300 / 16)
    ends = [step for step in range(plan.steps) if plan.last_of_epoch(step)]
    assert ends == [6, 12, 18]
    assert [plan.epoch_of(step + 1) for step in ends] == [1, 2, 3]
    assert "2 devices x 4 clips x 2 accumulated = 16 clips per step" in plan.describe()[0]
    assert "0.001 x 16 / 64 = 0.00025" in plan.describe()[1]


def test_a_step_may_hold_more_clips_than_there_are() -> None:
    plan = make_plan(read_recipe(None, ["epochs=4", "batch_size=8"]), train_clips=3, devices=1)
    assert plan.steps == 2
    assert [plan.last_of_epoch(step) for step in range(2)] == [True, True]
    assert plan.epoch_of(2) == 4


def test_the_rate_falls_in_a_run_of_one_epoch() -> None:
    plan = make_plan(read_recipe(None, ["epochs=1"]), train_clips=120, devices=1)
    assert (plan.steps, plan.warmup_steps) == (15, 5)
    assert "= 15 steps, 5 of them warm-up, a third of the run" in plan.describe()[2]
    usual = make_plan(read_recipe(), train_clips=120, devices=1)
    assert (usual.steps, usual.warmup_steps) == (225, 15)
    assert usual.describe()[2].endswith("225 steps, 15 of them warm-up")


def test_the_last_step_is_never_warm_up() -> None:
    for clips in range(1, 40):
        for warmup in ("auto", 0.5, 0.99):
            recipe = read_recipe(None, ["epochs=1", f"warmup_epochs={warmup}"])
            plan = make_plan(recipe, train_clips=clips, devices=1)
            assert 0 <= plan.warmup_steps < plan.steps
