"""Release, grading and feedback of the labs: nbgrader's formats, with test cells that also run in a process of their
own."""
