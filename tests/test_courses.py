"""The courses' tasks: gradient descent as theory has it, small regressions, Q-learning checked three ways."""

import io
import itertools
import math
import random
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from stepsize import Trial, train
from stepsize._extras import MissingExtraError
from stepsize.task import Startable, Training
from stepsize.task.built_in import _course_sheets, _frozenlake_world
from stepsize.task.built_in._bowl_sweep import amplitudes, expected_ratios, measured_threshold, rate_sweep
from stepsize.task.built_in._frozenlake import FrozenLake, frozenlake
from stepsize.task.built_in._frozenlake_curves import learning_curves
from stepsize.task.built_in._frozenlake_world import action_values, greedy, optimal_values, optimum, success, world
from stepsize.task.built_in._quadratic import along, bowl, bowl_matrix, quadratic, stable_below, trajectory
from stepsize.task.built_in._small import diabetes, digits_mlp, linear_regression
from stepsize.views import sheet_figure

BOWLS = [([3.0], 0.0), ([1.0, 10.0], 0.0), ([0.1, 100.0], 0.7), ([2.0, 2.0], -1.2)]
DECAYED = "0.5 * linear(end=0.002)"
gymnasium = pytest.importorskip("gymnasium")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def lake_run(seed=0, steps=60, watch=(), **settings):
    return frozenlake.start(Trial("frozenlake", {"lr": 0.5, **settings}, seed, steps), watch)


def saved_and_loaded(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


# gradient descent on a bowl


@pytest.mark.parametrize(("eigenvalues", "rotation"), BOWLS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99, 1.02])
def test_gradient_descent_is_its_closed_form(eigenvalues, rotation, share):
    rate, start = share * 2 / max(eigenvalues), [0.3, -2.0][: len(eigenvalues)]
    path = trajectory(rate, eigenvalues, steps=30, start=start, rotation=rotation)
    values, vectors = np.linalg.eigh(bowl_matrix(eigenvalues, rotation))
    powers = (1 - rate * values) ** np.arange(31)[:, None]
    points = powers * (vectors.T @ start) @ vectors.T
    np.testing.assert_allclose(path.points, points, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(path.expected(), points, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(path.losses, (points @ vectors) ** 2 @ values / 2, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("eigenvalues", "rotation"), BOWLS)
@pytest.mark.parametrize("momentum", [0.3, 0.9])
def test_with_momentum_descent_is_the_recursion_of_heavy_ball(eigenvalues, rotation, momentum):
    path = trajectory(0.7 / max(eigenvalues), eigenvalues, steps=25, rotation=rotation, momentum=momentum)
    np.testing.assert_allclose(path.points, path.expected(), rtol=1e-9, atol=1e-12)
    matrix = bowl_matrix(eigenvalues, rotation)
    for before, here, after in zip(path.points, path.points[1:], path.points[2:], strict=False):
        step = momentum * (here - before) - path.rate * matrix @ here
        np.testing.assert_allclose(after, here + step, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("eigenvalues", [[3.0], [1.0, 10.0], [5.0, 0.5]])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_descent_converges_up_to_the_bound_of_theory_and_not_beyond(eigenvalues, momentum):
    bound = stable_below(eigenvalues, momentum)
    assert bound == pytest.approx(2 * (1 + momentum) / max(eigenvalues))
    sweep = [trajectory(share * bound, eigenvalues, steps=200, momentum=momentum) for share in (0.5, 0.98, 1.02)]
    low, high = measured_threshold(sweep)
    assert low < bound < high
    assert (low, high) == (sweep[1].rate, sweep[2].rate)


@pytest.mark.parametrize(
    "eigenvalues",
    [pytest.param([3.0], marks=pytest.mark.slow), [1.0, 10.0], pytest.param([1.0, 1000.0], marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_a_sweep_closes_in_on_the_bound_of_theory(eigenvalues, momentum):
    told = []
    shown, sweep = rate_sweep(
        eigenvalues, rates=12, steps=300, momentum=momentum, progress=lambda *facts: told.append(facts)
    )
    low, high = measured_threshold(sweep)
    bound = stable_below(eigenvalues, momentum)
    assert low < high < 1.001 * low
    assert low / 1.002 < bound < high * 1.01
    assert [each.rate / bound for each in shown] == pytest.approx([0.1, 0.5, 0.95, 1.03])
    assert [done for done, _, _ in told] == list(range(1, len(shown) + len(sweep) + 1))
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_theory_of_a_changing_rate_is_what_descent_does(momentum):
    task = bowl([1.0, 10.0], rotation=0.4, momentum=momentum, steps=20)
    run = task.start(Trial("quadratic", {"lr": 0.15, "schedule": "warmup(5) >> cosine()"}, 0, 20))
    rates, points = [], [run.model.point.detach().clone()]
    for _ in range(20):
        rates.append(run.control.rates["group0"])
        run.advance(1)
        points.append(run.model.point.detach().clone())
    measured = along(torch.stack(points).numpy(), [1.0, 10.0], 0.4)
    np.testing.assert_allclose(measured, measured[0] * amplitudes(rates, [1.0, 10.0], momentum), rtol=1e-9, atol=1e-12)


def test_theory_of_the_last_loss_is_what_every_descent_of_a_sweep_measured():
    _, sweep = rate_sweep([1.0, 10.0], rates=12, rotation=0.3, momentum=0.5)
    measured = [each.losses[-1] / each.losses[0] for each in sweep]
    theory = expected_ratios(np.array([each.rate for each in sweep]), sweep[0])
    np.testing.assert_allclose(measured, theory, rtol=1e-6)


def test_a_bowl_of_condition_one_is_solved_in_one_step_at_one_over_its_curvature():
    assert trajectory(0.25, [4.0, 4.0], steps=1).losses[-1] == 0


def test_the_bowl_is_a_task_like_any_other():
    assert isinstance(quadratic, Startable)
    run = quadratic.start(Trial("quadratic", {"lr": 0.15}, 0, 10))
    assert isinstance(run, Training)
    whole = run.advance(10)
    first, second = (quadratic.start(Trial("quadratic", {"lr": 0.15}, 0, 10)) for _ in range(2))
    part = first.advance(4)
    second.load_state(saved_and_loaded(first.state()))
    assert [*part, *second.advance(6)] == whole
    assert second.score() == run.score()
    assert train(bowl([1.0]), lr=1e30, steps=60).diverged


# small regressions


def test_the_split_of_the_patients_is_by_index_and_standardised_on_the_training_part():
    x, y, x_held_out, y_held_out = diabetes()
    assert (x.shape, y.shape, x_held_out.shape, y_held_out.shape) == ((353, 10), (353, 1), (89, 10), (89, 1))
    for values in (x, y):
        torch.testing.assert_close(values.mean(0), torch.zeros(values.shape[1]), atol=1e-6, rtol=0)
        torch.testing.assert_close(values.std(0, correction=0), torch.ones(values.shape[1]))
    assert len(torch.unique(torch.cat([x, x_held_out]), dim=0)) == 442


def hessian_and_least_error():
    x, y, _, _ = (part.double() for part in diabetes())
    inputs = torch.cat([x, torch.ones(len(x), 1)], 1)
    least = torch.linalg.lstsq(inputs, y).solution
    return 2 * inputs.T @ inputs / len(x), float((inputs @ least - y).square().mean())


def test_on_all_patients_descent_goes_down_to_the_least_squares_solution_and_diverges_past_two_over_curvature():
    hessian, least = hessian_and_least_error()
    bound = 2 / float(torch.linalg.eigvalsh(hessian).max())
    settings = {"schedule": "constant()", "batch_size": 353}
    for share, steps in ((0.97, 300), (1.03, 120)):
        trial = Trial("linear-regression", {"lr": share * bound, **settings}, 0, steps)
        losses = linear_regression.start(trial).advance(steps)
        assert (losses[-1] < losses[0]) is (share < 1)
        assert all(before >= after - 1e-6 for before, after in itertools.pairwise(losses)) is (share < 1)
    trained = train(linear_regression, lr=0.05)  # in batches
    assert least <= trained.score < 1.01 * least
    assert 0.5 < trained.metrics["r2"] < 0.55
    assert trained.metrics["r2"] == pytest.approx(
        1 - trained.metrics["validation_loss"] / float(diabetes()[3].var(0, correction=0))
    )
    with pytest.raises(ValueError, match="batch_size must be at most 353"):
        linear_regression.start(Trial("linear-regression", {"lr": 0.1, "batch_size": 354}, 0, 10))


def test_the_perceptron_learns_the_digits():
    assert sum(parameter.numel() for parameter in digits_mlp.model().parameters()) == 64 * 128 + 128 + 128 * 10 + 10
    trained = train(digits_mlp, lr=0.1, steps=100)
    assert trained.metrics["accuracy"] > 0.9
    assert trained.losses == train(digits_mlp, lr=0.1, steps=100).losses


# FrozenLake: the world


def environment():
    return gymnasium.make("FrozenLake-v1", map_name="4x4", is_slippery=True)


def test_the_table_is_the_environments():
    env, lake = environment(), world()
    holes_and_goal = [state for state in range(16) if env.unwrapped.desc.ravel()[state] in b"HG"]
    assert (lake.start, lake.limit) == (0, env.spec.max_episode_steps) == (0, 100)
    for state in set(range(16)) - set(holes_and_goal):
        for action, rows in env.unwrapped.P[state].items():
            assert [row[0] for row in rows] == lake.chances.tolist()
            assert [tuple(map(float, row[1:])) for row in rows] == [
                tuple(map(float, outcome)) for outcome in lake.outcomes[state][action]
            ]
    assert all(lake.terminal[state].all() for state in holes_and_goal)


def test_value_iteration_solves_the_bellman_equation_of_the_environments_table():
    values, table = optimal_values(), environment().unwrapped.P
    for state, actions in table.items():
        worth = [sum(p * (r + 0.99 * values[s] * (not end)) for p, s, r, end in rows) for rows in actions.values()]
        assert values[state] == pytest.approx(max(worth), abs=1e-13)
    assert greedy(action_values(values).round(12)).max(1).min() >= 0.25
    assert round(optimum(), 3) == 0.74


def success_by_hand(policy, table):
    """The distribution over states, step by step, as a plain sum over everything that can happen."""
    reached, places = 0.0, {0: 1.0}
    for _ in range(100):
        following = dict.fromkeys(range(16), 0.0)
        for state, mass in places.items():
            for action, rows in table[state].items():
                for chance, after, reward, end in rows:
                    share = mass * policy[state][action] * chance
                    reached += share * reward
                    following[after] += share * (not end)
        places = following
    return reached


def test_success_is_exact_for_policies_by_the_dozen():
    draws = np.random.default_rng(0).dirichlet(np.full(4, 0.3), size=(4, 3, 16))
    table = environment().unwrapped.P
    exact = success(draws)
    assert exact.shape == (4, 3)
    for index in np.ndindex(4, 3):
        assert exact[index] == pytest.approx(success_by_hand(draws[index], table), abs=1e-14)
    assert (exact < optimum()).all()


# FrozenLake: learning


class Given:
    """Stands in for the environment's generator: gives the uniform draw that it was told."""

    def __init__(self):
        self.draw = 0.0

    def random(self):
        return self.draw


def stepped(seed, episodes, total):
    """Q-learning as the book has it, on the environment itself, one step after the other."""
    env, given, rng = environment(), Given(), np.random.default_rng(np.random.PCG64(seed))
    env.unwrapped.np_random = given
    q, ends = np.zeros((16, 4)), []
    for episode in range(episodes):
        alpha = 0.5 * (1 - episode / total) + 0.5 * 0.002 * (episode / total)
        epsilon = 0.5 * (1 - episode / total) + 0.01 * (episode / total)
        uniform = rng.random((100, 3))
        given.draw = 0.0
        state, _ = env.reset()
        for step in range(100):
            if uniform[step, 0] < epsilon:
                action = math.floor(4 * uniform[step, 1])
            else:
                best = np.flatnonzero(q[state] == q[state].max())
                action = best[math.floor(len(best) * uniform[step, 1])]
            given.draw = uniform[step, 2]
            after, reward, terminated, truncated, _ = env.step(int(action))
            bootstrap = 0.0 if terminated else 0.99 * q[after].max()
            q[state, action] += alpha * (reward + bootstrap - q[state, action])
            state = after
            if terminated or truncated:
                ends.append((reward, terminated, truncated))
                break
    return q, ends


@pytest.mark.parametrize("seed", [0, 5])
def test_a_run_is_q_learning_on_the_stepped_environment(seed):
    q, ends = stepped(seed, 600, 600)
    assert {(terminated, truncated) for _, terminated, truncated in ends} >= {(True, False), (False, True)}
    run = lake_run(seed, 600)
    losses = run.advance(600)
    assert losses == [1 - reward for reward, _, _ in ends]
    np.testing.assert_allclose(np.array(run.q), q, rtol=1e-9, atol=1e-12)  # alpha's last bit is the only difference


def test_agents_in_lock_step_are_single_runs_to_the_last_bit():
    alphas = {"decayed": DECAYED, "constant": "constant(value=0.1)"}
    curves = learning_curves(alphas, seeds=(3, 0, 9), episodes=230, points=10)
    assert curves.at.tolist() == list(range(0, 231, 23))
    for name, settings in (("decayed", {}), ("constant", {"lr": 0.1, "schedule": "constant()"})):
        for column, seed in enumerate(curves.seeds):
            run = lake_run(seed, 230, **settings)
            reached = [run.metrics()["success"]]
            losses = []
            for _ in range(10):
                losses += run.advance(23)
                reached.append(run.metrics()["success"])
            assert np.array_equal(curves.q[name][column], run.q)
            assert losses == (1 - curves.won[name][:, column]).tolist()
            np.testing.assert_allclose(curves.success[name][:, column], reached, rtol=0, atol=1e-14)
            assert run.score() == pytest.approx(curves.gaps(name)[column], abs=1e-14)


def test_with_alpha_zero_nothing_is_learned_and_with_one_a_value_is_its_last_target():
    curves = learning_curves({"zero": "constant(value=0)", "one": "constant()"}, seeds=[1], episodes=100, points=1)
    assert not curves.q["zero"].any()
    assert curves.success["zero"][-1, 0] == success(np.full((16, 4), 0.25))
    assert 0 <= curves.q["one"].min() <= curves.q["one"].max() <= 1


@pytest.mark.parametrize("episodes", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_with_a_decayed_alpha_every_seed_ends_within_two_points_of_value_iteration(episodes):
    curves = learning_curves({"decayed": DECAYED}, episodes=episodes)
    assert curves.gaps("decayed").shape == (20,)
    assert (np.abs(curves.gaps("decayed")) <= 0.02).all()


def test_a_run_that_is_resumed_is_the_run_never_stopped():
    whole = lake_run(7)
    losses = whole.advance(60)
    first, second = lake_run(7), lake_run(7)
    begun = first.advance(25)
    kept = first.state()
    first.advance(5)  # which must not reach into what was kept
    second.load_state(saved_and_loaded(kept))
    assert [*begun, *second.advance(35)] == losses
    assert second.q == whole.q
    assert second.generator.bit_generator.state == whole.generator.bit_generator.state
    assert torch.equal(second.state()["q"], whole.state()["q"])


def test_one_seed_is_one_run_and_the_randomness_around_it_is_left_alone():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    losses = lake_run(2).advance(60)
    torch.manual_seed(99)
    assert lake_run(2).advance(60) == losses
    assert lake_run(3).advance(60) != losses
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[:2]


class Seen:
    def __init__(self, wanted):
        self.wanted, self.steps, self.observed = wanted, [], []

    def wants(self, step):
        return self.wanted if step % 20 == 0 else ()

    def on_step(self, record):
        self.steps.append(record)

    def on_observe(self, step, values):
        self.observed.append((step, values))

    def on_event(self, step, event):
        raise AssertionError(event)


def test_observers_are_told_what_they_want():
    both, one = Seen({"loss", "rate", "gradient_norm"}), Seen({"rate"})
    losses = lake_run(watch=[both]).advance(60)
    run = lake_run(watch=iter([one]))
    run.advance(30)
    run.observe(success=0.5)
    assert [record["step"] for record in both.steps] == [0, 20, 40]
    assert [record["loss"] for record in both.steps] == [losses[0], losses[20], losses[40]]
    assert [record["rate"] for record in both.steps] == pytest.approx([0.5, 0.5 - 0.499 / 3, 0.5 - 0.998 / 3])
    assert one.steps == [{"step": 0, "rate": 0.5}, {"step": 20, "rate": both.steps[1]["rate"]}]
    assert one.observed == [(30, {"success": 0.5})]


def test_the_lake_is_a_task_that_train_takes():
    assert isinstance(frozenlake, Startable)
    assert isinstance(lake_run(), Training)
    trained = train(frozenlake, lr=0.5, steps=400)
    assert len(trained.losses) == 400
    assert trained.score == pytest.approx(optimum() - trained.metrics["success"])
    assert train(frozenlake, lr=1e30, steps=2_000).diverged


def test_alpha_is_squeezed_into_shorter_runs_and_held_past_the_end():
    fixed = replace(frozenlake, steps=1_000, schedule="constant(500) >> linear(500)")
    run = fixed.start(Trial("frozenlake", {"lr": 0.5}, 0, 10))
    assert run.alpha[:6] == [0.5] * 6
    assert run.alpha[-1] == 0
    assert len(run.advance(15)) == 15
    assert run.episode == 15


# what is refused, and pictures


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: bowl([]), ValueError, r"eigenvalues must be one or two numbers > 0, got \[\]"),
        (lambda: bowl([1, 2, 3]), ValueError, "eigenvalues must be one or two"),
        (lambda: bowl([1, -2]), ValueError, r"eigenvalues\[1\] must be a finite number > 0, got -2"),
        (lambda: bowl(3), TypeError, "eigenvalues must be a sequence of numbers, got 3"),
        (lambda: bowl([1], start=[1, 2]), ValueError, r"start must be as many numbers as eigenvalues, 1, got \[1, 2\]"),
        (lambda: bowl([1], start=["a"]), TypeError, r"start\[0\] must be a finite number, got 'a'"),
        (lambda: bowl([1, 2], rotation=math.nan), ValueError, "rotation must be a finite number, got nan"),
        (lambda: bowl([1, 2], momentum=1), ValueError, "momentum must be below 1, got 1"),
        (lambda: stable_below([1], momentum=-1), ValueError, "momentum must be a finite number >= 0, got -1"),
        (lambda: trajectory(0, [1]), ValueError, "lr must be a finite number > 0, got 0"),
        (lambda: trajectory(1, [1], steps=0), ValueError, "steps must be a whole number >= 1, got 0"),
        (lambda: _course_sheets.trajectories([]), ValueError, "paths must be one trajectory or more"),
        (lambda: _course_sheets.trajectories([trajectory(0.1), trajectory(0.1, [1])]), ValueError, "of one bowl"),
        (lambda: FrozenLake(steps=0), ValueError, "steps must be a whole number >= 1, got 0"),
        (lambda: FrozenLake(schedule="linaer()"), ValueError, "did you mean 'linear'"),
        (lambda: FrozenLake(epsilon="constant(value=2)"), ValueError, "epsilon must be a schedule of values 0 to 1"),
        (lambda: lake_run(clip=1.0), ValueError, "settings must be of lr and schedule alone"),
        (lambda: frozenlake.start(Trial("frozenlake", {}, 0, 5)), ValueError, "settings must be with a rate"),
        (lambda: frozenlake.start(Trial("other", {"lr": 1}, 0, 5)), ValueError, "trial must be one of the task"),
        (lambda: lake_run().load_state({"q": 3}), ValueError, "state must be from the"),
        (lambda: lake_run().load_state(3), ValueError, "state must be from the"),
        (lambda: learning_curves({}), ValueError, "alphas and seeds must not be empty"),
        (lambda: learning_curves({"a": "constant()"}, seeds=[-1]), ValueError, "seeds must be a whole number >= 0"),
        (lambda: learning_curves({"a": "constant()"}, seeds=[2**32]), ValueError, r"seeds must be below 2\*\*32"),
        (lambda: learning_curves({"a": "constant()"}, episodes=0), ValueError, "episodes must be a whole number >= 1"),
        (lambda: learning_curves({"a": "constant()"}, points=0), ValueError, "points must be a whole number >= 1"),
        (lambda: learning_curves({"a": "constant(value=1.5)"}), ValueError, "alpha of a must be .* 0 to 1, got"),
    ],
)
def test_bad_input_is_refused_by_name_value_and_rule(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_a_state_of_another_shape_changes_nothing():
    run = lake_run()
    run.advance(10)
    before = run.state()
    with pytest.raises(ValueError, match=r"shape of q must be \(16, 4\), got \(4, 4\)"):
        run.load_state({**before, "q": torch.zeros(4, 4)})
    assert torch.equal(run.state()["q"], before["q"])
    assert run.state()["generator"] == before["generator"]


def test_without_gymnasium_it_says_which_extra_brings_it(monkeypatch):
    _frozenlake_world.world.cache_clear()
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingExtraError, match=r"the task frozenlake needs gymnasium.*stepsize\[tasks\]"):
        lake_run()
    monkeypatch.undo()
    assert lake_run().advance(1) in ([0.0], [1.0])


@pytest.mark.slow
def test_pictures_are_drawn_and_named(tmp_path):
    pytest.importorskip("matplotlib")
    sweeps = {
        "rotated": rate_sweep(rotation=0.5, rates=12, paths=[0.02, 0.19, 0.3]),
        "line": rate_sweep([4.0], momentum=0.5, rates=12, paths=[0.02]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, (paths, sweep) in sweeps.items():
            sheet = sheet_figure(_course_sheets.trajectories(paths, sweep))
            sheet.savefig(tmp_path / f"{name}.png")
            labels = ["x₁"] * 3 if name == "rotated" else ["x"]
            assert [ax.get_xlabel() for ax in sheet.axes] == [*labels, "learning rate"]
            assert len(_course_sheets.trajectories(paths).views) == len(paths)
            low, high = measured_threshold(sweep)
            said = " ".join(sheet.axes[-1].get_legend_handles_labels()[1])
            assert f"theory: converges below {'2 (1 + m) / λ = 0.75' if name == 'line' else '2 / λ = 0.2'}" in said
            assert f"measured: converges up to {low:.4g}, diverges at {high:.4g}" in said
        alphas = {"constant": "constant(value=0.5)", "decayed": DECAYED}
        sheet = sheet_figure(_course_sheets.learning(learning_curves(alphas, seeds=range(4), episodes=150)))
        sheet.savefig(tmp_path / "lake.png")
    assert len(list(tmp_path.iterdir())) == 3
    assert sheet.axes[0].get_legend_handles_labels()[1][-1] == f"optimum {optimum():.3f}"
