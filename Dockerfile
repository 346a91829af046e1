# Two targets of one file:
#   docker build --target gateway -t realtime-gateway .     what runs in a pod, with the example chat; build yours FROM it
#   docker build --target operator -t realtime-operator .   the Kubernetes operator
# Both run as a user without a name or rights, and on a read-only root file system.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python3 -m venv /opt/gateway && python3 -m venv /opt/operator
# Dependencies first and apart, so that a change of the code does not install them again.
COPY pyproject.toml ./
RUN python3 -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; more = p['optional-dependencies']; \
    write = lambda name, *extras: open(name, 'w').write('\n'.join(sum((more[e] for e in extras), p['dependencies']))); \
    write('gateway.txt', 'jwt', 'otlp', 'otlp-grpc'); write('operator.txt', 'operator', 'otlp')" \
    && /opt/gateway/bin/pip install --quiet -r gateway.txt \
    && /opt/operator/bin/pip install --quiet -r operator.txt
COPY README.md LICENSE ./
COPY gateway ./gateway
COPY operator ./operator
RUN /opt/gateway/bin/pip install --quiet --no-deps . && /opt/operator/bin/pip install --quiet --no-deps .
COPY examples/chat /srv/chat
# The example's database, with its demo users: a volume made from this image starts with it. Pods without a volume have
# one each, which is enough for rooms; who wants orders on Kubernetes gives all pods one database.
RUN mkdir /data && cd /srv/chat && export DATABASE=/data/db.sqlite3 \
    && /opt/gateway/bin/python manage.py migrate --verbosity 0 && /opt/gateway/bin/python manage.py demo_data

FROM ${BASE_IMAGE} AS runtime
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

FROM runtime AS operator
COPY --from=build /opt/operator /opt/operator
ENV PATH=/opt/operator/bin:$PATH
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["python", "-m", "realtime_operator"]

FROM runtime AS gateway
COPY --from=build /opt/gateway /opt/gateway
COPY --from=build /srv/chat /srv/chat
COPY --from=build --chown=10001:10001 /data /data
ENV PATH=/opt/gateway/bin:$PATH DATABASE=/data/db.sqlite3
WORKDIR /srv/chat
VOLUME /data
USER 10001:10001
EXPOSE 8000 9000
ENTRYPOINT ["realtime-gateway"]
CMD ["serve", "chat.asgi:application", "--bind", "0.0.0.0", "--port", "8000", "--admin-bind", "0.0.0.0", "--admin-port", "9000"]
