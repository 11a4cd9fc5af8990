#!/bin/sh
# Builds the images with docker, podman or buildah, whichever works here: deploy/images/build.sh [TARGET ...]
# Each becomes docfleet-TARGET:local. ENGINE=podman chooses one; BASE_IMAGE=... stands on another base.
set -eu
cd "$(dirname "$0")/../.."

if [ -z "${ENGINE:-}" ]; then
    for ENGINE in docker podman buildah none; do
        "$ENGINE" info >/dev/null 2>&1 && break
    done
fi
case "$ENGINE" in
    docker) format= ;;
    # health checks are none of OCI's, so that these leave them out of their own format
    podman | buildah) format=--format=docker ;;
    *)
        echo "needs docker, podman or buildah; where no registry is reachable: deploy/images/build_offline.py" >&2
        exit 2
        ;;
esac
[ $# -gt 0 ] || set -- api dispatcher worker-pdf worker-image worker-cloud documentai-server console
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

for target; do
    echo "docfleet-$target:local ($ENGINE)"
    # shellcheck disable=SC2086 # no format is no argument
    "$ENGINE" build $format ${BASE_IMAGE:+--build-arg "BASE_IMAGE=$BASE_IMAGE"} \
        --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
        --file deploy/Dockerfile --target "$target" --tag "docfleet-$target:local" .
done
