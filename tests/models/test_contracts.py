"""A component that does not keep its contract is refused when it is imported, and the message says why."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import contracts
from models.contracts import Attention, Context, Fusion, Head, Loss, Pooling
from models.fusions.late import Late
from models.losses.bce import Bce
from models.output import Output
from study.spec import components


def forward(self: Loss, output: Output, targets: Tensor) -> Tensor:
    """What a loss must have, besides its declarations."""
    return output.logits.mean()


def loss(**declared: object) -> type[Loss]:
    """A class statement of a loss with these declarations."""
    return type("Probe", (Loss,), {"__module__": __name__, "forward": forward, **declared})


def test_a_component_that_keeps_its_contract_is_accepted() -> None:
    made = loss(trains_head=True, exclusive=None, _helper=3, better=property(lambda self: 3))
    assert made().soft_targets is False


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"exclusive": None},
            "`tests.models.test_contracts.Probe`: must declare `trains_head: bool` of the contract Loss, "
            "got nothing. Set it in the class.",
        ),
        (
            {"trains_head": True},
            "Probe`: must declare `exclusive: bool | None` of the contract Loss, got nothing.",
        ),
        (
            {"trains_head": True, "exclusive": None, "soft_target": True},
            "Probe`: must declare only what the contract Loss knows, got `soft_target`. "
            "Did you mean `soft_targets`?",
        ),
        (
            {"trains_head": True, "exclusive": None, "colour": 3},
            "got `colour`. A private name starts with an underscore.",
        ),
        (
            {"trains_head": 1, "exclusive": None},
            "Probe`: must declare `trains_head: bool` of the contract Loss, got 1.",
        ),
        (
            {"trains_head": True, "exclusive": "no"},
            "must declare `exclusive: bool | None` of the contract Loss, got 'no'.",
        ),
        (
            {"trains_head": True, "exclusive": None, "forward": 3},
            "must declare only what the contract Loss knows, got `forward`.",
        ),
    ],
    ids=["missing", "missing where None is a value", "misspelt", "unknown", "an int", "a str", "no method"],
)
def test_a_declaration_that_is_missing_misspelt_or_of_another_type_is_refused(
    declared: dict[str, object], message: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        loss(**declared)


def test_a_misspelt_declaration_that_is_owed_is_named_as_missing_and_as_unknown() -> None:
    with pytest.raises(TypeError, match="must declare") as caught:
        loss(train_head=True, exclusive=None)
    missing, unknown = str(caught.value).splitlines()
    assert "must declare `trains_head: bool`" in missing
    assert "got `train_head`. Did you mean `trains_head`?" in unknown


def test_a_missing_method_is_refused() -> None:
    with pytest.raises(TypeError, match="must have the method `scores` of the contract Head, got none"):

        class Probe(Head):
            exclusive = False
            multilabel_data = True

            def forward(self, x: Tensor) -> Tensor:
                return x

            def score(self, logits: Tensor) -> Tensor:
                return logits

            def encode(self, targets: Tensor) -> Tensor:
                return targets


def test_what_the_constructor_owes_to_the_contract_is_no_class_attribute() -> None:
    with pytest.raises(TypeError, match="knows, got `image_flips`"):

        class Flipped(Attention):
            image_flips = True

            def forward(self, x: Tensor) -> Tensor:
                return x

    class Silent(Context):
        def __init__(self, channels: int) -> None:
            super().__init__()  # type: ignore[call-arg]

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(TypeError, match="out_channels"):
        Silent(3)


def test_a_component_subclasses_a_contract_and_no_component() -> None:
    message = "must subclass one contract of models.contracts and nothing else, got"
    with pytest.raises(TypeError, match=f"{message} Bce. Hold another component as a part"):

        class Child(Bce):
            pass

    class Mixin:
        pass

    with pytest.raises(TypeError, match=f"{message} Mixin, Pooling"):

        class Mixed(Mixin, Pooling):
            def forward(self, x: Tensor) -> Tensor:
                return x


def test_a_contract_of_a_contract_asks_for_both() -> None:
    assert Late(4, 2).symmetric
    with pytest.raises(TypeError, match="must have the method `forward` of the contract Fusion"):
        type("Probe", (Fusion,), {})


def test_a_contract_itself_cannot_be_built() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Pooling()  # type: ignore[abstract]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of poolings of its own, which the registry knows by the kind `probe`."""
    package = tmp_path / "probes"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(components.FOLDERS, "probe", "probes")
    monkeypatch.setitem(components.CONTRACTS, "probe", "Pooling")
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "probes"]:
        del sys.modules[name]
    components.names.cache_clear()
    components.load.cache_clear()


POOLING = """
from models.contracts import Pooling

class Probe(Pooling):
    def forward(self, x):
        return x.amax((2, 3))
"""


def test_the_registry_takes_a_component_of_its_kinds_contract(folder: Path) -> None:
    (folder / "fine.py").write_text(POOLING)
    assert components.load("probe", "fine")()(torch.ones(2, 3, 4, 4)).shape == (2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "class Probe: pass",
            "`probes.wrong`: must define a subclass of models.contracts.Pooling, got Probe.",
        ),
        (
            POOLING.replace("Pooling", "Attention"),
            "`probes.wrong`: must define a subclass of models.contracts.Pooling, got Probe.",
        ),
        (
            POOLING + "    late = True",
            "`probes.wrong.Probe`: must declare only what the contract Pooling knows",
        ),
        (POOLING + "class Other: pass", "must define exactly one public class, got Probe, Other."),
        ("LATE = True", "must define exactly one public class, got none."),
    ],
    ids=["no contract", "the contract of another kind", "misspelt", "two classes", "no class"],
)
def test_the_registry_refuses_what_does_not_keep_the_contract(folder: Path, text: str, message: str) -> None:
    (folder / "wrong.py").write_text(text)
    with pytest.raises(TypeError, match=re.escape(message)):
        components.load("probe", "wrong")


@pytest.mark.parametrize("kind", components.CONTRACTS)
def test_every_component_keeps_the_contract_of_its_kind(kind: str) -> None:
    for name in components.names(kind):
        assert issubclass(components.load(kind, name), vars(contracts)[components.CONTRACTS[kind]])
