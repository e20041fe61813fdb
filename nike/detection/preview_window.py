"""A window that shows the frames of a camera or stream with their detections."""

from __future__ import annotations

import os
import sys

import numpy as np

TITLE = "nike detect (q: quit)"
QUIT_KEYS = (ord("q"), 27)  # q and Esc


def has_display() -> bool:
    """Returns whether a window can be opened: there is a display, and OpenCV is built with GUI support."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False  # without a display, Qt terminates the process
    import cv2

    return not any(line.split() == ["GUI:", "NONE"] for line in cv2.getBuildInformation().splitlines())


class Window:
    """Shows images until q or Esc is pressed or the window is closed. Use it in a `with` statement."""

    def __enter__(self) -> Window:
        import cv2

        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        return self

    def show(self, pixels: np.ndarray) -> bool:
        """Shows an image, uint8 RGB `[H, W, 3]`. Returns False after q, Esc or closing the window."""
        import cv2

        cv2.imshow(TITLE, pixels[:, :, ::-1])
        return cv2.waitKey(1) & 0xFF not in QUIT_KEYS and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def __exit__(self, *exception: object) -> None:
        import cv2

        cv2.destroyAllWindows()
