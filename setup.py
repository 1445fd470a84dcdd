"""What pyproject.toml cannot say: strategies/ is a package also where the link to it is not, as in an sdist."""

from setuptools import find_packages, setup

setup(packages=sorted({*find_packages(include=["cl_condense*"]), "cl_condense.strategies"}))
