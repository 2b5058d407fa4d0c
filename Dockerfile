FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    HOME=/tmp

WORKDIR /app
COPY requirements.txt pyproject.toml README.md LICENSE ./
COPY labkit labkit
COPY tasks tasks
# The versions are those of requirements.txt; what only the tests need stays out.
RUN pip install --only-binary :all: -c requirements.txt hatchling \
 && pip install --only-binary :all: -c requirements.txt --no-build-isolation -e '.[lessons]'
COPY notebooks notebooks

# The folder of the learner's copies belongs to the learner; a new volume takes its owner over.
RUN useradd --uid 1000 --no-create-home --home-dir /tmp learner && mkdir work && chown 1000:1000 work
USER 1000:1000
