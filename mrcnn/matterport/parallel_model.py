"""Placeholder for Matterport's `ParallelModel`. Use a distribution strategy of TensorFlow instead."""


def ParallelModel(keras_model, gpu_count: int):
    """Raises NotImplementedError. The message describes the replacement."""
    raise NotImplementedError(
        "ParallelModel is not supported. To train on several GPUs, build the model under a distribution strategy:\n"
        f"    with mrcnn.training.distribution.choose_strategy({gpu_count}).scope():\n"
        '        model = mrcnn.model.MaskRCNN(mode="training", config=config, model_dir=...)'
    )
