"""The original's module for several GPUs, so that importing it works. There is nothing to wrap a model in any more."""


def ParallelModel(keras_model, gpu_count: int):
    """Raises NotImplementedError and says what takes its place."""
    raise NotImplementedError(
        "ParallelModel: a Keras model trains on several GPUs when it is built under a strategy. Write\n"
        f"    with mrcnn.training.distribution.choose_strategy({gpu_count}).scope():\n"
        '        model = mrcnn.model.MaskRCNN(mode="training", config=config, model_dir=...)'
    )
