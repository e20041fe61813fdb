"""The build step that pyproject.toml cannot declare; all metadata is there.

pip and `python -m build` run this file when they build the project.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
BUNDLED_WEIGHTS = "weights/mask_rcnn_nike.h5"


class Build(build_py):
    """Adds what lies outside the packages: the bundled weights, and the `.pth` file that lets imgaug be imported."""

    def run(self):
        super().run()
        # Of an editable installation, only what lies in the wheel's own folder is installed.
        folder = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        self.copy_file(str(HERE / "mrcnn" / "data" / "imgaug_shim.pth"), str(Path(folder, "mrcnn_imgaug.pth")))
        if not self.editable_mode:  # an editable installation finds the weights in the repository
            folder = Path(self.build_lib, "nike", "weights")
            self.mkpath(str(folder))
            self.copy_file(BUNDLED_WEIGHTS, str(folder))

    def get_source_files(self):
        return [*super().get_source_files(), BUNDLED_WEIGHTS]


setup(cmdclass={"build_py": Build})
