from probe.budget import Budget


def spend(budget, share, windows=1):
    """Windows of 50 steps of 10 ms in which the probe took this share; the changes that were announced."""
    return [budget.spend(share * 0.01, 0.01) for _ in range(50 * windows)].count(True)


def test_all_is_heavy_while_the_budget_holds():
    budget = Budget()
    assert spend(budget, 0.009, windows=3) == 0
    assert [budget.is_heavy(step) for step in (1, 2, 3)] == [True, True, True]
    assert abs(budget.cost_us - 90) < 1e-6
    assert abs(budget.cost_share - 0.009) < 1e-12


def test_the_heavy_part_is_halved_for_each_window_over_the_budget_up_to_a_limit():
    budget = Budget()
    assert spend(budget, 0.02, windows=3) == 3
    assert (budget.every, [step for step in range(1, 25) if budget.is_heavy(step)]) == (8, [8, 16, 24])
    assert spend(budget, 0.5, windows=20) == 4
    assert budget.every == 128


def test_it_comes_back_only_when_twice_the_work_fits_easily():
    budget = Budget()
    spend(budget, 0.02, windows=2)
    assert (spend(budget, 0.005, windows=2), budget.every) == (0, 4)
    assert (spend(budget, 0.002, windows=2), budget.every) == (2, 1)


def test_the_layers_keep_their_own_rhythm_until_the_heavy_part_is_rarer():
    budget = Budget()
    assert [step for step in range(1, 41) if budget.is_detailed(step, 10)] == [10, 20, 30, 40]
    budget.every = 32
    assert [step for step in range(1, 91) if budget.is_detailed(step, 10)] == [30, 60, 90]


def test_a_step_whose_beginning_nobody_saw_is_not_counted():
    budget = Budget()
    assert [budget.spend(1.0, None) for _ in range(100)].count(True) == 0
    assert budget.cost_us == 0.0
