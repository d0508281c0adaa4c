"""Scripts that make the files in data_files/. For instructors: the student archive leaves this folder out."""
