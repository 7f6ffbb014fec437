"""What each step of the rollout's table does to the cluster. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator.in_place import steps as in_place
from inference_operator.rollout import Step
from inference_operator.steps import bringing, deciding, leaving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inference_operator.actions import Action
    from inference_operator.observed import Fleet
    from inference_operator.roles import Scene
    from inference_operator.rollout import Taken
    from inference_operator.verdicts import Verdict


def actions_of(scene: Scene, taken: Taken) -> tuple[Action, ...]:
    if taken.row.step in ON_SCENE:
        return tuple(ON_SCENE[taken.row.step](scene))
    if taken.fleet is None:
        return ()
    if taken.row.step in IN_PLACE:
        return tuple(IN_PLACE[taken.row.step](scene, taken.fleet, taken.verdict))
    return tuple(ON_FLEET[taken.row.step](scene, taken.fleet, taken))


ON_SCENE: dict[Step, Callable[[Scene], Iterator[Action]]] = {
    Step.CREATE: bringing.create,
    Step.LOAD: in_place.load,
    Step.RECREATE: bringing.recreate,
}
"""Steps that no fleet of the wanted revision stands for yet."""

IN_PLACE: dict[Step, Callable[[Scene, Fleet, Verdict], Iterator[Action]]] = {
    Step.SWITCH_BACK: in_place.switch_back,
    Step.UNLOAD: in_place.unload,
    Step.VERIFY_INCOMING: in_place.verify,
    Step.SWITCH: in_place.switch,
    Step.MAKE_WAY: in_place.make_way,
    Step.LOAD_ALONE: in_place.load_alone,
    Step.GIVE_UP: in_place.give_up,
    Step.DRAIN_VERSION: in_place.drain_version,
    Step.DROP_DRAINED: in_place.drop,
    Step.DROP_OVERDUE: in_place.drop,
    Step.MARK_IDLE: in_place.mark_idle,
    Step.UNMARK_IDLE: in_place.unmark_idle,
}

ON_FLEET: dict[Step, Callable[[Scene, Fleet, Taken], Iterator[Action]]] = {
    Step.RESTORE: deciding.restore,
    Step.CONDEMN: deciding.condemn,
    Step.ROLL_BACK: deciding.condemn,
    Step.RETRY: deciding.retry,
    Step.RECALL: bringing.recall,
    Step.ABORT: deciding.fail,
    Step.VERIFY: deciding.verify,
    Step.REJECT: deciding.fail,
    Step.AWAIT_APPROVAL: deciding.await_approval,
    Step.STOP_SUPERSEDED: leaving.stop,
    Step.REVIVE: bringing.revive,
    Step.RESIZE: bringing.resize,
    Step.PROMOTE: deciding.promote,
    Step.FAIL: deciding.fail,
    Step.ORDER_DRAIN: leaving.order_drain,
    Step.TELL_PODS: leaving.tell_pods,
    Step.STOP_DRAINED: leaving.stop,
    Step.STOP_OVERDUE: leaving.stop,
    Step.MARK_DRAINED: leaving.mark_drained,
    Step.UNMARK_DRAINED: leaving.unmark_drained,
    Step.FORGET: leaving.forget,
}
