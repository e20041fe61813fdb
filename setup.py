"""Installs the library `mrcnn` and the application `nike` (command `nike`)."""

import pathlib
import re

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "mrcnn" / "__init__.py").read_text()).group(1)
BUNDLED_WEIGHTS = "weights/mask_rcnn_nike.h5"


class Build(build_py):
    """Adds what lies outside the packages: the bundled weights, and the `.pth` file that lets imgaug be imported."""

    def run(self):
        super().run()
        # Of an editable installation, only what lies in the wheel's own folder is installed.
        folder = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        self.copy_file(str(HERE / "mrcnn" / "data" / "imgaug_shim.pth"), str(pathlib.Path(folder, "mrcnn_imgaug.pth")))
        if not self.editable_mode:  # an editable installation finds the weights in the repository
            folder = pathlib.Path(self.build_lib, "nike", "weights")
            self.mkpath(str(folder))
            self.copy_file(BUNDLED_WEIGHTS, str(folder))

    def get_source_files(self):
        return [*super().get_source_files(), BUNDLED_WEIGHTS]


setup(
    name="nike-mrcnn",
    version=VERSION,
    description="Mask R-CNN for today's TensorFlow and Keras 3, and an application that finds a logo in photos",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["mrcnn", "mrcnn.*", "nike", "nike.*"]),
    cmdclass={"build_py": Build},
    package_data={
        "mrcnn": ["py.typed", "data/imgaug_shim.pth"],
        "nike": ["logo.svg", "sample_data/**/*", "sample_data/*", "recipes/*", "serving/page/*"],
    },
    # Lower bounds are the versions that the tests ran with; there is no upper bound because no break is known.
    install_requires=[
        "tensorflow>=2.21",
        "keras>=3.15",
        "numpy>=2.0",
        "scikit-image>=0.26",
        "imgaug>=0.4",
        "matplotlib>=3.10",
        "h5py>=3.14",
        "pillow>=11.2",  # earlier ones fill slivers of polygons otherwise
        "pycocotools>=2.0.8",
        "opencv-python>=4.10",
        "tqdm>=4.66",
        "pyyaml>=6",
    ],
    extras_require={
        # labelme 7 has no public functions to compare our masks with; it opens our files, see `annotate`.
        # setuptools builds the wheel that a test inspects.
        # Ray is not in it: it installs 330 MB, and the tests that need it are skipped without it.
        "test": [
            "pytest>=8.2",
            "hypothesis>=6",
            "ruff>=0.14",
            "mypy>=2.0",
            "labelme>=6,<7",
            "setuptools>=77",
            "httpx>=0.27",
            "supervision>=0.31",
            "trackers>=2",
            "mlflow-skinny>=3",
            "pyarrow>=20",
        ],
        "annotate": ["labelme>=6"],
        "video": ["av>=14", "trackers>=2"],
        "serve": [
            "fastapi>=0.115",
            "fastapi-offline>=1.7",
            "uvicorn>=0.34",
            "python-multipart>=0.0.18",
            "prometheus-client>=0.21",
        ],
        "catalogue": ["ray[data]>=2.60", "pyarrow>=20"],
        "notebooks": ["jupyterlab>=4", "ipywidgets>=8", "nbclient>=0.10", "nbformat>=5", "ipykernel>=6"],
        "docs": ["mkdocs-material>=9.7", "mkdocstrings[python]>=1.0"],
        "gpu": ["tensorflow[and-cuda]>=2.21"],
        "track": ["mlflow-skinny>=3", "wandb>=0.20"],
    },
    entry_points={"console_scripts": ["nike = nike.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
    ],
)
