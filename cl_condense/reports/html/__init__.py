"""A folder of results as a page: tables beside the published, curves of runs, condensed images, losses."""

from cl_condense.reports.html.writing import write

__all__ = ["write"]
