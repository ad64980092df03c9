"""What a network took from a file of weights: each tensor as it is, renamed, resized, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

MOST_NAMED = 8  # tensors that a line names
PREFIX_NAMED = 2  # of those that are as the network wants them


@dataclass(frozen=True, kw_only=True)
class TakenWeights:
    """What became of the tensors of a file.

    Attributes:
        unchanged: Names that file and network share.
        renamed: Names in the file and in the network.
        changed: Tensors that were resized or made anew from the file's, with their shapes before and after.
        left_out: Tensors of the file that the network does not have or does not use, with their shapes.
    """

    unchanged: Sequence[str]
    renamed: Sequence[str]
    changed: Sequence[str]
    left_out: Sequence[str]

    def lines(self) -> list[str]:
        """A line for each kind of which there are any, with the first names."""
        kinds = (
            ("taken as they are", self.unchanged, PREFIX_NAMED),
            ("renamed", self.renamed, PREFIX_NAMED),
            ("resized or converted", self.changed, MOST_NAMED),
            ("left out", self.left_out, MOST_NAMED),
        )
        return [f"{len(names)} {what}: {_some(names, most)}" for what, names, most in kinds if names]


def taken_weights(
    file: Mapping[str, Tensor], fitted: Mapping[str, Tensor], used: Sequence[str]
) -> TakenWeights:
    """Compares what a file holds with what a network takes.

    Args:
        file: Tensors by their names in the file.
        fitted: Tensors by their names in the network; those that were only renamed are the file's own.
        used: Names in the network of those that it takes.
    """
    names = {id(tensor): name for name, tensor in file.items()}
    unchanged, renamed, changed, sources = [], [], [], set()
    for name in used:
        source = names.get(id(fitted[name])) or _ending_with(name, file)
        sources.add(source)
        before = file.get(source)
        if before is not fitted[name]:
            was = f"{source} {_shape(before)}" if before is not None else "several"
            changed.append(f"{was} -> {name} {_shape(fitted[name])}")
        elif source == name:
            unchanged.append(name)
        else:
            renamed.append(f"{source} -> {name}")
    left_out = [
        f"{name} {_shape(tensor)}"
        for name, tensor in file.items()
        if name not in sources and not name.endswith("num_batches_tracked")
    ]
    return TakenWeights(unchanged=unchanged, renamed=renamed, changed=changed, left_out=left_out)


def _ending_with(name: str, file: Mapping[str, Tensor]) -> str:
    """The name in the file that is this one behind a prefix; empty where there is none."""
    return next((key for key in file if key == name or key.endswith(f".{name}")), "")


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _some(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
