"""Learning rate schedules: warm-up, then constant, cosine or step decay."""

import keras
import numpy as np
from keras import ops

from mrcnn.choices import SCHEDULES
from mrcnn.errors import UserError

# Fractions of the run after which "step" divides the rate by 10. Detectron does so after 60k and 80k of 90k steps.
STEP_FRACTIONS = (0.67, 0.89)
COSINE_END = 0.01  # final learning rate of "cosine" as a fraction of the initial rate


@keras.saving.register_keras_serializable(package="mrcnn")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate as a function of the step.

    Args:
        learning_rate: rate after the warm-up.
        total_steps: number of steps of the run.
        kind: "constant"; "cosine": half a cosine that ends at 1% of the rate (Loshchilov & Hutter 2017, section 3,
            without restarts); "step": a tenth of the rate after 67% of the steps and a hundredth after 89%.
        warmup_steps: number of steps over which the rate rises linearly (Goyal et al. 2017, section 2.2).
    """

    def __init__(self, learning_rate: float, total_steps: int, kind: str = "constant", warmup_steps: int = 0):
        super().__init__()
        if kind not in SCHEDULES:
            raise UserError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {kind!r}.")
        self.learning_rate, self.total_steps = float(learning_rate), max(int(total_steps), 1)
        self.kind, self.warmup_steps = kind, int(warmup_steps)

    def __call__(self, step):
        """Returns the rate at `step` (scalar, counted from 0), float32."""
        step = ops.cast(step, "float32")
        factor = ops.minimum(1.0, (step + 1.0) / max(self.warmup_steps, 1))
        fraction = ops.minimum(step / self.total_steps, 1.0)
        if self.kind == "cosine":
            cosine = 0.5 * (1.0 + ops.cos(np.pi * fraction))
            factor = factor * (COSINE_END + (1.0 - COSINE_END) * cosine)
        elif self.kind == "step":
            drops = sum(ops.cast(fraction >= at, "float32") for at in STEP_FRACTIONS)
            factor = factor * 0.1**drops
        return self.learning_rate * factor

    def get_config(self):
        return {name: getattr(self, name) for name in ("learning_rate", "total_steps", "kind", "warmup_steps")}
