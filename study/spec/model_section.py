"""The part `model` of a study file: what stands in each slot of the siamese network."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from study.spec.components import Component
from study.spec.section import Section, slot


def _absolute(weights: str) -> str:
    """A file by its absolute path; the names that are no files stay."""
    return weights if weights in ("none", "imagenet") else str(Path(weights).expanduser().absolute())


class BackboneSpec(Section):
    """One network for both eyes, by torchvision's or timm's name.

    Attributes:
        name: name of the network.
        weights: `none`, `imagenet`, or a local file (safetensors, or a state dict).
        freeze: `none`, `all`, or how many leading stages stay as they are.
        drop_stages: how many of the last stages are left out.
        reduce: number of principal components, of the channels of the training images' maps, that stand in
            the place of the channels; null keeps the channels. It needs `freeze: all`. Fine-tuning
            (`search.finetune`) starts from them and trains them on.
        whiten: give each of these components the variance 1.
    """

    name: str
    weights: Annotated[str, AfterValidator(_absolute)] = "none"
    freeze: Literal["none", "all"] | Annotated[int, Field(ge=0)] = "none"
    drop_stages: Annotated[int, Field(ge=0)] = 0
    reduce: Annotated[int, Field(ge=1)] | None = None
    whiten: bool = False

    @property
    def pretrained(self) -> bool:
        """Whether it begins with weights of an earlier training."""
        return self.weights != "none"


class EmbeddingSpec(Section):
    """The vector on which heads and metric losses work.

    Attributes:
        dim: length after a linear layer; null keeps the fused vector.
        l2norm: project onto the unit sphere, where distances lie between 0 and 2.
    """

    dim: Annotated[int, Field(ge=2)] | None = None
    l2norm: bool = False


class ModelSpec(Section):
    """The slots of the siamese network, in the order in which an image passes them.

    Attributes:
        backbone: the network that turns each image into maps, by name or with its settings.
        context: what widens the field of view of a map.
        attention: what weights a map by place or channel.
        attention_at: where attention stands: after the backbone (`last`), on the image itself (`input`),
            inside the backbone after every stage (`every_stage`), or in its last or every residual block
            (`last_block`, `every_block`).
        pooling: what turns a map into a vector.
        fusion: what makes one vector of both eyes.
        embedding: the vector on which heads and metric losses work.
        head: what predicts the labels from the embedding.
    """

    backbone: Annotated[BackboneSpec, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)]
    context: Annotated[Component, slot("context", "model.context")] = Component(name="none")
    attention: Annotated[Component, slot("attention", "model.attention")] = Component(name="none")
    attention_at: Literal["last", "input", "every_stage", "last_block", "every_block"] = "last"
    pooling: Annotated[Component, slot("pooling", "model.pooling")] = Component(name="average")
    fusion: Annotated[Component, slot("fusion", "model.fusion")] = Component(name="concat")
    embedding: EmbeddingSpec = EmbeddingSpec()
    head: Annotated[Component, slot("head", "model.head")] = Component(name="multi_label")
