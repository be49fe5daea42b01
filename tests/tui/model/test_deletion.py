"""Tests of deletion plans: order, freed space and refusals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from layertui.model.deletion import DeletePlan, PlanRow, Reason, build_delete_plan
from support.plan_rows import TREE, Row, rows_of


def reasons(plan: DeletePlan) -> dict[str, list[Reason]]:
    return {layer.id: [refusal.reason for refusal in layer.refusals] for layer in plan.layers if layer.refusals}


def test_a_leaf_is_deleted_without_force() -> None:
    plan = build_delete_plan(rows_of(TREE), ["top"])
    assert plan.ids == ("top",)
    assert plan.frees == 10
    assert not plan.blocked
    assert not plan.needs_force
    assert plan.descendants() == ()


def test_children_are_deleted_before_their_parents() -> None:
    plan = build_delete_plan(rows_of(TREE), ["base", "left", "top", "right"])
    assert plan.ids == ("top", "left", "right", "base")
    assert not plan.blocked


def test_a_child_outside_the_plan_refuses_it_and_can_be_included() -> None:
    plan = build_delete_plan(rows_of(TREE), ["base", "right"])
    assert plan.blocked
    ((layer, refusal),) = plan.refused(Reason.CHILDREN)
    assert (layer.id, refusal.holders) == ("base", ("left",))
    assert plan.descendants() == ("top", "left")
    wider = plan.with_descendants()
    assert not wider.blocked
    assert set(wider.ids) == set(TREE)
    assert wider.ids[-1] == "base"


def test_users_need_force_and_all_are_named() -> None:
    rows = rows_of(TREE, top={"images": ("a", "b"), "containers": ("c",), "mount_count": 2})
    plan = build_delete_plan(rows, ["top"])
    assert reasons(plan) == {"top": [Reason.IMAGES, Reason.CONTAINERS, Reason.MOUNTS]}
    assert plan.needs_force
    assert not plan.blocked
    assert plan.layers[0].refusals[0].holders == ("a", "b")


def test_force_does_not_help_in_a_read_only_store() -> None:
    plan = build_delete_plan(rows_of(TREE, top={"read_only": True}), ["top"])
    assert plan.blocked
    assert not plan.needs_force


def test_an_unknown_size_makes_the_total_unknown() -> None:
    plan = build_delete_plan(rows_of(TREE, top={"size": None}), ["top", "right"])
    assert plan.frees is None
    assert (plan.known_size, plan.unknown_sizes) == (10, 1)


def test_missing_layers_are_listed_and_duplicates_count_once() -> None:
    plan = build_delete_plan(rows_of(TREE), ["top", "gone", "top"])
    assert plan.ids == ("top",)
    assert plan.missing == ("gone",)


def test_cycles_of_parents_terminate() -> None:
    rows = rows_of({"a": "b", "b": "a"})
    assert set(build_delete_plan(rows, ["a"]).with_descendants().ids) == {"a", "b"}


def test_a_chain_longer_than_the_recursion_limit() -> None:
    parents = {str(number): str(number - 1) if number else "" for number in range(3000)}
    rows: dict[str, PlanRow] = {
        name: Row(name, parent, (str(int(name) + 1),) if int(name) < 2999 else ()) for name, parent in parents.items()
    }
    plan = build_delete_plan(rows, ["0"]).with_descendants()
    assert plan.ids == tuple(str(number) for number in reversed(range(3000)))


@given(st.lists(st.integers(0, 100), max_size=30), st.data())
def test_parents_come_after_their_children_in_any_selection(numbers: list[int], data: st.DataObject) -> None:
    parents = {str(child): str(number % child) if child else "" for child, number in enumerate(numbers)}
    rows = rows_of(parents)
    chosen = data.draw(st.lists(st.sampled_from(sorted(parents)), unique=True)) if parents else []
    plan = build_delete_plan(rows, chosen)
    assert set(plan.ids) == set(chosen)
    for earlier, layer_id in enumerate(plan.ids):
        assert not _ancestors(parents, layer_id) & set(plan.ids[:earlier])
    assert not plan.with_descendants().blocked


def _ancestors(parents: dict[str, str], layer_id: str) -> set[str]:
    found = set()
    while layer_id := parents[layer_id]:
        found.add(layer_id)
    return found
