#!/bin/sh
# Unpack Debian's packages into a folder: debian.sh FOLDER PACKAGE...
# Needs no rights and changes nothing of the system; what is installed already, or not to be had, is left out.
set -eu
folder=$1
shift
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$folder" "$state/lists/partial" "$state/cache/archives/partial" "$state/packages"
get() {
    apt-get -qq -o Dir::State="$state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$state/cache" \
        -o APT::Sandbox::User="$(id -un)" "$@"
}
get update
cd "$state/packages"
for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || get download "$package" || echo "There is no package $package here."
done
for file in ./*.deb; do
    dpkg -x "$file" unpacked
done
cd - >/dev/null
cp -a "$state/packages/unpacked/." "$folder"
