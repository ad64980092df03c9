"""Heads: probabilities and encoded targets."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.contracts import Head
from models.heads.multi_label import MultiLabel
from models.heads.pairwise import Pairwise
from models.heads.powerset import Powerset
from models.heads.softmax import Softmax

torch.manual_seed(0)
X = torch.randn(5, 8)
SETS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 1, 1]])


def build(kind: type[Head], *, dropout: float = 0.0) -> Head:
    label_sets: tuple[Tensor, ...] = (SETS,) if kind.wants_label_sets else ()
    return kind(8, 3, *label_sets, dropout=dropout)


def test_scores() -> None:
    for head in (MultiLabel(8, 3), Pairwise(8, 3)):
        logits = head(X)
        torch.testing.assert_close(head.scores(logits), 1 / (1 + (-logits).exp()))
    logits = Softmax(8, 3)(X)
    torch.testing.assert_close(Softmax(8, 3).scores(logits), logits.exp() / logits.exp().sum(1, keepdim=True))


def test_pairwise_is_a_softmax_over_two_logits() -> None:
    head = Pairwise(8, 3)
    weight, bias = head.linear.parameters()
    without, has = F.linear(X, weight, bias).chunk(2, 1)
    torch.testing.assert_close(head.scores(head(X)), has.exp() / (has.exp() + without.exp()))


def test_powerset_adds_the_probabilities_of_the_sets_that_hold_a_label() -> None:
    head = Powerset(8, 3, SETS)
    logits = head(X)
    assert logits.shape == (5, 4)
    p = logits.softmax(1)
    expected = torch.stack([p[:, 0] + p[:, 2], p[:, 1] + p[:, 2] + p[:, 3], p[:, 3]], 1)
    torch.testing.assert_close(head.scores(logits), expected)


def test_powerset_encodes_known_sets_exactly_and_others_as_the_most_similar() -> None:
    head = Powerset(8, 3, SETS)
    torch.testing.assert_close(head.encode(SETS), torch.eye(4))
    assert head.encode(torch.tensor([[0.0, 0, 1], [1, 1, 1]])).argmax(1).tolist() == [3, 2]
    torch.testing.assert_close(head.scores(50 * head.encode(SETS)), SETS)


def test_powerset_keeps_its_label_sets_with_its_weights() -> None:
    head, other = Powerset(8, 3, SETS), Powerset(8, 3, SETS.flip(0))
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other.sets, SETS)
    torch.testing.assert_close(other.scores(other(X)), head.scores(head(X)))


@pytest.mark.parametrize("kind", [MultiLabel, Softmax, Pairwise])
def test_other_heads_take_targets_as_they_are(kind: type[Head]) -> None:
    assert build(kind).encode(SETS) is SETS


@pytest.mark.parametrize("kind", [MultiLabel, Softmax, Pairwise, Powerset])
def test_dropout_acts_in_training_only(kind: type[Head]) -> None:
    head = build(kind, dropout=0.5)
    assert not torch.equal(head(X), head(X))
    head.eval()
    assert torch.equal(head(X), head(X))
