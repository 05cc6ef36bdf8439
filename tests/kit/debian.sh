#!/bin/sh
# Unpack Debian's packages into a folder: debian.sh FOLDER PATTERN... with patterns of grep -E for whole names.
# Needs no rights and changes nothing of the system; what is installed already is left out.
set -eu
folder=$1
shift
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$folder" "$state/lists/partial" "$state/cache/archives/partial" "$state/packages"
ours="-qq -o Dir::State=$state -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache=$state/cache"
ours="$ours -o APT::Sandbox::User=$(id -un)"
apt-get $ours update
missing=$(for pattern in "$@"; do apt-cache $ours pkgnames | grep -xE "$pattern"; done | while read -r name; do
    dpkg -s "$name" >/dev/null 2>&1 || echo "$name"
done)
[ -z "$missing" ] || (cd "$state/packages" && apt-get $ours download $missing)
for file in "$state"/packages/*.deb; do
    [ ! -e "$file" ] || dpkg -x "$file" "$folder"
done
