from probe.budget import Budget


def judge(budget, share, windows=1):
    """Windows of 50 steps of 10 ms in which the probe took this share; the changes that were announced."""
    return [budget.judge(share * 0.5, 0.5, 0.0, 50) for _ in range(windows)].count(True)


def test_all_is_heavy_while_the_budget_holds():
    budget = Budget()
    assert judge(budget, 0.009, windows=3) == 0
    assert [budget.is_heavy(step) for step in (1, 2, 3)] == [True, True, True]
    assert abs(budget.cost_us - 90) < 1e-6
    assert abs(budget.cost_share - 0.009) < 1e-12


def test_the_heavy_part_is_halved_for_each_window_over_the_budget_up_to_a_limit():
    budget = Budget()
    assert judge(budget, 0.02, windows=3) == 3
    assert (budget.every, [step for step in range(1, 25) if budget.is_heavy(step)]) == (8, [8, 16, 24])
    assert judge(budget, 0.5, windows=20) == 3
    assert budget.every == 512


def test_what_is_told_is_a_share_of_all_work_and_what_decides_is_that_of_the_steps():
    budget = Budget()
    assert budget.judge(0.01, 0.5, 1.5, 50)
    assert (budget.cost_share, budget.every) == (0.005, 2)


def test_a_window_is_fifty_steps_or_two_seconds_of_slow_ones():
    assert [Budget.is_window(50, 0.05), Budget.is_window(49, 1.9), Budget.is_window(19, 60.0)] == [True, False, False]
    assert Budget.is_window(20, 2.0)


def test_it_comes_back_only_when_twice_the_work_fits_easily():
    budget = Budget()
    judge(budget, 0.02, windows=2)
    assert (judge(budget, 0.005, windows=2), budget.every) == (0, 4)
    assert (judge(budget, 0.002, windows=2), budget.every) == (2, 1)


def test_the_layers_keep_their_own_rhythm_until_the_heavy_part_is_rarer():
    budget = Budget()
    assert [step for step in range(1, 41) if budget.is_detailed(step, 10)] == [10, 20, 30, 40]
    budget.every = 32
    assert [step for step in range(1, 91) if budget.is_detailed(step, 10)] == [30, 60, 90]


def test_steps_that_a_person_asked_for_are_detailed_whatever_the_rhythm():
    budget = Budget()
    budget.detailed_until = 12
    assert [step for step in range(1, 31) if budget.is_detailed(step, 10)] == [*range(1, 13), 20, 30]


def test_the_next_step_of_any_weight_is_the_first_that_a_search_finds():
    budget = Budget()
    for budget.every, budget.detailed_until, every in [(1, 0, 10), (8, 0, 10), (32, 0, 10), (64, 5, 7), (512, 40, 1)]:
        for step in range(60):
            found = next(n for n in range(step + 1, 1000) if budget.is_heavy(n) or budget.is_detailed(n, every))
            assert budget.next_after(step, every) == found
