"""The Celery app of the lessons: a Redis, JSON only, results that expire."""

import os

from celery import Celery

broker = os.environ.get("LABKIT_BROKER_URL") or "redis://localhost:6379/0"

app = Celery("tasks", broker=broker, backend=os.environ.get("LABKIT_RESULT_BACKEND") or broker)
app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    result_expires=3600,  # seconds
)
