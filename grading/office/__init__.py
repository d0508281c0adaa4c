"""An instructor's work before and after grading: collect, report, export, the doctor."""
