"""Evaluation that people can look at: tables, intervals, tests, data checks, and the report."""
