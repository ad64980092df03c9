"""What a trial's process says arrives as it was said, whatever Ray adds to it."""

import json

import pytest

from study.engine.orders.messages import Ending, EndMessage, EpochMessage
from study.engine.orders.trial_order import Site, TrialOrder
from study.evidence.records import Outcome, Role
from tests.engine.fake_study import epoch_of


@pytest.mark.parametrize("judged", [True, False])
def test_an_epoch_arrives_among_what_ray_adds(judged: bool) -> None:
    sent = EpochMessage(epoch_of("search-00001", 4, 0.5), judged=judged)
    assert EpochMessage.unpack({**sent.pack(), "trial_id": "0a1b", "training_iteration": 4}) == sent


@pytest.mark.parametrize(
    "sent",
    [
        EndMessage(Ending.COMPLETE, objectives={"macro_auc": 0.75, "multiply_adds": 2.0}),
        EndMessage(Ending.FAILED, Outcome.OUT_OF_MEMORY, "no room for 3 GiB"),
        EndMessage(Ending.UNSAVED, message="the disk is full"),
    ],
)
def test_an_end_arrives_and_is_no_epoch(sent: EndMessage) -> None:
    packed = {**sent.pack(), "trial_id": "0a1b"}
    assert EndMessage.unpack(packed) == sent
    assert EpochMessage.unpack(packed) is None


def test_a_trial_whose_last_message_is_an_epoch_was_interrupted() -> None:
    assert EndMessage.unpack(EpochMessage(epoch_of("a", 1, 0.5)).pack()) == EndMessage(Ending.INTERRUPTED)
    assert EndMessage.unpack({}) == EndMessage(Ending.INTERRUPTED)


def test_an_order_and_its_site_travel_as_text() -> None:
    order = TrialOrder(key="confirm-00001-s2", role=Role.CONFIRM, spec={"a": [1]}, params={"lr": 0.1})
    back = TrialOrder.from_json(order.to_json())
    assert back == order
    assert back.role is Role.CONFIRM
    assert json.loads(order.to_json())["role"] == "confirm"
    site = Site(study="a", run="r", cache="c", provenance="{}", data_fingerprint="f", split_hash="s")
    assert Site.from_json(site.to_json()) == site


def test_a_message_of_megabytes_is_cut() -> None:
    end = EndMessage(Ending.FAILED, Outcome.ERROR, "x" * 10**7)
    assert EndMessage.unpack(end.pack()).message == "x" * 2000 + " ... (9998000 more letters)"
