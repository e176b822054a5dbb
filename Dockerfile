# One image for web, coordinator and worker: the command decides (see docker-compose.yml).
# On x86-64 Linux the package index serves torch with CUDA, so a worker on a GPU host needs nothing else.
FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
RUN useradd --create-home vitrine && mkdir -p /app/var && chown -R vitrine /app/var
USER vitrine
EXPOSE 8000
