"""What `proofload.pytest_plugin` loads once it is used.

asked     which scenario files, and what the options say
items     a scenario file as a collector, a scenario on a target as a test
fixture   the fixture `proofload`
measured  what came of a run, and how it becomes an outcome of pytest
runs      the runs of this session, and where their folders are
telling   outcomes in the terminal, in JUnit properties and in a step summary
"""
