"""Build step that cannot be declared in pyproject.toml, which contains all metadata.

pip and `python -m build` run this file when they build the project.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
BUNDLED_WEIGHTS = "weights/mask_rcnn_nike.h5"


class Build(build_py):
    """Adds files from outside the packages: the bundled weights, and the `.pth` file that makes imgaug importable."""

    def run(self):
        super().run()
        # An editable installation installs only files in the wheel's own folder.
        folder = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        self.copy_file(str(HERE / "mrcnn" / "data" / "imgaug_shim.pth"), str(Path(folder, "mrcnn_imgaug.pth")))
        if not self.editable_mode:  # an editable installation finds the weights in the repository
            folder = Path(self.build_lib, "nike", "weights")
            self.mkpath(str(folder))
            self.copy_file(BUNDLED_WEIGHTS, str(folder))

    def get_source_files(self):
        return [*super().get_source_files(), BUNDLED_WEIGHTS]


setup(cmdclass={"build_py": Build})
