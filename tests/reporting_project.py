"""A project whose workers report: the app of the workflows, and one line."""

from tests.workflows import app

app.steps["worker"].add("labkit.report:Reports")
