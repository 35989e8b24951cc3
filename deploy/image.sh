#!/bin/sh
# One image: deploy/image.sh SERVICE. The tag is the package's own version. With docker, else with buildah.
set -eu
cd "$(dirname "$0")/.."
service=$1
case $service in
operations) target=operations version=$(git rev-parse --short HEAD) ;;
*)
    target=service
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "services/$service/pyproject.toml")
    ;;
esac
set -- --target "$target" --build-arg "SERVICE=$service" --tag "sema-$service:$version" --file deploy/Dockerfile .
if docker version >/dev/null 2>&1; then
    exec docker build "$@"
elif command -v buildah >/dev/null; then
    exec buildah bud --format docker "$@"
fi
echo "neither a docker daemon nor buildah is here" >&2
exit 1
