"""Exercises that were added to a lab, or taken out of it, after submissions of it were recorded: nbgrader refuses that.

Removed ones lose their points, those given by hand too; added ones wait in every recorded submission, and the next
`make grade` judges them.
"""

from typing import Any

from nbgrader.api import Comment, Grade, Gradebook

from grading.lab.submission import GradedCell


def changed_cells(gradebook: Gradebook, lab: str, cells: dict[str, GradedCell]) -> tuple[list[str], list[str]]:
    """The grade_ids that only the lab has, and those that only the gradebook has, once it holds submissions."""
    if lab not in {assignment.name for assignment in gradebook.assignments}:
        return [], []
    notebook = gradebook.find_notebook(lab, lab)
    if not notebook.submissions:
        return [], []
    then, now = set().union(*_kinds_then(notebook).values()), set().union(*_kinds_now(cells).values())
    moved = {
        name
        for kind, names in _kinds_then(notebook).items()
        for name in names ^ _kinds_now(cells)[kind]
        if name in then & now
    }
    return sorted((now - then) | moved), sorted((then - now) | moved)


def change_cells(gradebook: Gradebook, lab: str, cells: dict[str, GradedCell]) -> None:
    """Give the gradebook the exercises of a lab as it is now, in every submission that is recorded."""
    added, removed = changed_cells(gradebook, lab, cells)
    notebook = gradebook.find_notebook(lab, lab)
    for cell in (*notebook.grade_cells, *notebook.solution_cells, *notebook.task_cells):
        if cell.name in removed:
            for row in (Grade, Comment):
                gradebook.db.query(row).filter(row.cell_id == cell.id).delete()
            gradebook.db.delete(cell)
    for source in list(notebook.source_cells):
        if source.name in removed:
            gradebook.db.delete(source)
    gradebook.db.commit()
    gradebook.db.expire_all()
    for name in added:
        _add(gradebook, lab, name, cells[name])
    gradebook.db.commit()


def _add(gradebook: Gradebook, lab: str, name: str, cell: GradedCell) -> None:
    told = cell.metadata
    worth: dict[str, Any] = {"max_score": float(told.get("points", 0.0)), "cell_type": cell.cell_type}
    made = []
    if told.get("grade"):
        made.append((gradebook.update_or_create_grade_cell(name, lab, lab, **worth), True, False))
    if told.get("solution"):
        made.append((gradebook.update_or_create_solution_cell(name, lab, lab), False, True))
    if told.get("task"):
        made.append((gradebook.update_or_create_task_cell(name, lab, lab, **worth), True, True))
    gradebook.update_or_create_source_cell(
        name, lab, lab, cell_type=cell.cell_type, source=cell.source, locked=bool(told.get("locked"))
    )
    for submitted in gradebook.find_notebook(lab, lab).submissions:
        for known, grade, comment in made:
            if grade:
                gradebook.db.add(Grade(cell_id=known.id, notebook=submitted))
            if comment:
                gradebook.db.add(Comment(cell_id=known.id, notebook=submitted))


def _kinds_then(notebook: Any) -> dict[str, set[str]]:
    return {
        "grade": {cell.name for cell in notebook.grade_cells},
        "solution": {cell.name for cell in notebook.solution_cells},
        "task": {cell.name for cell in notebook.task_cells},
        "source": {cell.name for cell in notebook.source_cells},
    }


def _kinds_now(cells: dict[str, GradedCell]) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {
        kind: {name for name, cell in cells.items() if cell.metadata.get(kind)}
        for kind in ("grade", "solution", "task")
    }
    locked = {name for name, cell in cells.items() if cell.metadata.get("locked")}
    return {**kinds, "source": locked.union(*kinds.values())}
