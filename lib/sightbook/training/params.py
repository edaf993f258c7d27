"""Parameters every training notebook shares; light to import (no torch)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sightbook.params import Parameters


class FitParams(Parameters):
    """What `sightbook.training.fit.fit` reads; a line's training parameters inherit it.

    A subclass may repeat a field to give it another default.
    """

    may_change_on_resume: ClassVar[frozenset[str]] = Parameters.may_change_on_resume | {
        "epochs",
        "checkpoint_steps",
        "checkpoint_seconds",
    }

    epochs: int = Field(2, ge=1, description="passes over the training set")
    batch_size: int = Field(16, ge=1, description="samples a step on each device")
    accumulate: int = Field(1, ge=1, description="batches whose gradients make one step")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.01, ge=0, description="on weights, not on norms and biases")
    beta2: float = Field(0.999, gt=0, lt=1, description="AdamW's second-moment decay")
    warmup: float = Field(
        0.05, ge=0, description="linear warm-up: share of all steps, or steps if 1 or more"
    )
    schedule: Literal["cosine", "hold", "linear", "constant"] = Field(
        "cosine", description="after warm-up; hold: full rate to half-time, then cosine"
    )
    clip_norm: float = Field(1.0, ge=0, description="gradient norm is clipped to it; 0: off")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="average of the weights; 0: off")
    patience: int = Field(0, ge=0, description="epochs without gain before stopping; 0: off")
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16-mixed where the GPU or CPU has it, else 32"
    )
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        1, description="GPUs, or processes on a CPU; auto: every GPU there is"
    )
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        "auto", description="processes that load data; auto: by the number of cores"
    )
    compile: bool = Field(False, description="torch.compile the model")
    deterministic: bool = Field(False, description="same result every time on a GPU too; slower")
    seed: int = Field(0, ge=0, description="of weights, order and augmentation")
    find_lr: bool = Field(False, description="try rates first, train with the best")
    find_batch_size: bool = Field(False, description="try sizes first, train with what fits")
    checkpoint_steps: int = Field(0, ge=0, description="save every so many steps too; 0: off")
    checkpoint_seconds: float = Field(
        300.0, ge=0, description="save in mid-epoch after so many seconds; 0: off"
    )
