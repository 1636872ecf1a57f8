# The course in a few commands; `make` alone lists them. What they do stands in course.py, which also runs without make.

PYTHON ?= python3
STEPS := demo test zoo extras proofs data notebooks book checkpoints bench lock release-check clean

.PHONY: help lab mutants assignment grade nbgrader $(STEPS)

help:
	@$(PYTHON) course.py

lab:
	@$(PYTHON) course.py lab $(if $(PORT),--port=$(PORT))

mutants:
	@$(PYTHON) course.py mutants $(if $(SAMPLE),--sample=$(SAMPLE)) $(ONLY)

assignment:
	@$(PYTHON) course.py assignment $(LESSON) $(OPTIONS)

grade:
	@$(PYTHON) course.py grade $(LESSON) $(SUBMISSIONS) $(if $(ROSTER),--roster "$(ROSTER)") $(OPTIONS)

nbgrader:
	@$(PYTHON) course.py nbgrader $(LESSON) $(if $(COURSE),--course "$(COURSE)") $(OPTIONS)

$(STEPS):
	@$(PYTHON) course.py $@
