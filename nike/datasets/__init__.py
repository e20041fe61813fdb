"""The dataset class, and readers and writers of annotation formats."""
