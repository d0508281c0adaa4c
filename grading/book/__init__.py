"""nbgrader's gradebook: release, autograde, record, feedback."""
