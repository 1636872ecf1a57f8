"""Coursework, the teacher's side: release, collect, run in a sandbox, judge, report. Students' code never sees it."""
